import math
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.model.world import STYLE
from tests.reward.published import published_scores
from visreason.errors import DataError, ModelError, RunError
from visreason.model import load as loading
from visreason.model import parts, value_head
from visreason.model.adapters import add_lora
from visreason.model.attention import PATHS
from visreason.model.value_head import ValueHead
from visreason.prompt import messages, style
from visreason.record import Completion, Image, Problem, Sample, Score
from visreason.reward.learned import Learned

WIDTH = 32
TEXTS = (
    "<think>a red 3.</think>\n<answer>3</answer>",
    "3",
    "\n\n 3 \n",
    "I guess. <|im_end|>\nA",
    "因为 3 = 三。",
)


@pytest.fixture(scope="session")
def scorer(world, tmp_path_factory):
    """The small model with a head whose scores differ visibly."""
    folder = tmp_path_factory.mktemp("scorer")
    policy = loading.load(str(world / "small"), device="cpu")
    policy.value_head = ValueHead(WIDTH, STYLE, seed=1)
    policy.save(folder)
    return folder


def untied(folder):
    """The model at a folder with a matrix to words of its own."""
    policy = loading.load(str(folder), device="cpu")
    policy.base.lm_head.weight = torch.nn.Parameter(policy.base.lm_head.weight.detach().clone())
    policy.base.config.tie_word_embeddings = policy.base.config.get_text_config().tie_word_embeddings = False
    return policy


def mixed(drawn, n=200):
    """Problems with and without pictures, and completions of many lengths."""
    problems = [p if i % 3 else replace(p, images=()) for i, p in enumerate(drawn)]
    texts = [*TEXTS, *(f"{p.thought} The answer is {p.answer}." for p in drawn)]
    return [(problems[i % len(problems)], texts[(7 * i) % len(texts)]) for i in range(n)]


def samples(cases):
    return [Sample(problem, Completion(text), Score(0.0)) for problem, text in cases]


def conversation(problem, text):
    """As the published script is given one; it would read a control token in the text as such."""
    turns = [
        {"role": m["role"], "content": [{"type": "image", "image": p["image"].path} if p["type"] == "image" else p
                                        for p in m["content"]]}
        for m in messages(problem, style(STYLE))
    ]  # fmt: skip
    return [*turns, {"role": "assistant", "content": [{"type": "text", "text": text.replace("<|", "< |")}]}]


@pytest.mark.parametrize("batch", [1, 16])
def test_scores_are_those_of_the_published_script(scorer, drawn, batch):
    cases = mixed(drawn)
    expected = published_scores(scorer, [conversation(*c) for c in cases], batch)
    found = [s.value for s in Learned(str(scorer), device="cpu")(samples(cases))]
    assert max(abs(a - b) for a, b in zip(found, expected, strict=True)) < 1e-4
    assert max(found) - min(found) > 0.1


def test_a_model_that_cannot_share_a_prompt_is_said_to_and_scores_every_text_alone(
    scorer, drawn, monkeypatch, capsys
):
    cases = [(drawn[0], text) for text in TEXTS]
    expected = [s.value for s in Learned(str(scorer), device="cpu")(samples(cases))]
    assert "scored on its own" not in capsys.readouterr().err
    segments = PATHS["segments"]

    def leaky(q, k, v, layout, scale):
        whole = replace(layout, trees=((layout.tokens, ()),))
        return segments(q, k, v, whole, scale)

    monkeypatch.setitem(PATHS, "segments", leaky)
    reward = Learned(str(scorer), device="cpu")
    found = [s.value for s in reward(samples(cases))]
    assert found == pytest.approx(expected, abs=1e-5)
    said = " ".join(capsys.readouterr().err.split())
    assert "forest and one-by-one forwards" in said
    assert said.count("every text is scored on its own") == 1
    reward(samples(cases))
    assert capsys.readouterr().err == ""


def test_a_score_does_not_depend_on_the_other_completions_nor_on_the_budget(scorer, drawn):
    cases = mixed(drawn, 60)
    together = [s.value for s in Learned(str(scorer), device="cpu")(samples(cases))]
    split = [s.value for s in Learned(str(scorer), device="cpu", micro_batch_tokens=64)(samples(cases))]
    alone = Learned(str(scorer), device="cpu")
    single = [alone(samples([case]))[0].value for case in cases]
    assert torch.allclose(torch.tensor(together), torch.tensor(single), atol=1e-5)
    assert torch.allclose(torch.tensor(together), torch.tensor(split), atol=1e-5)


def test_saved_and_loaded_again_it_scores_the_same_bits(scorer, drawn, tmp_path):
    first = Learned(str(scorer), device="cpu")
    first.policy.save(tmp_path / "again")
    second = Learned(str(tmp_path / "again"), device="cpu")
    cases = samples(mixed(drawn, 40))
    assert [s.value for s in first(cases)] == [s.value for s in second(cases)]
    assert second.style.name == STYLE
    tensors = load_file(tmp_path / "again" / "value_head.safetensors")
    assert {k: tuple(t.shape) for k, t in tensors.items()} == {
        "v_head.summary.weight": (1, WIDTH), "v_head.summary.bias": (1,)}  # fmt: skip


def test_a_head_in_a_bin_file_is_read_without_a_style(scorer, tmp_path):
    torch.save(load_file(scorer / "value_head.safetensors"), tmp_path / "value_head.bin")
    head = value_head.read(str(tmp_path), WIDTH)
    assert torch.equal(
        head.summary.weight, load_file(scorer / "value_head.safetensors")["v_head.summary.weight"]
    )
    assert head.style is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: None, "found none: it is no reward model"),
        (lambda t: {"summary.weight": t["v_head.summary.weight"], "v_head.summary.bias": t["v_head.summary.bias"]},
         "expected the tensors v_head.summary.bias, v_head.summary.weight"),
        (lambda t: {"v_head.summary.weight": t["v_head.summary.weight"]}, "expected the tensors"),
        (lambda t: t | {"v_head.summary.weight": torch.zeros(1, 64)}, "hidden states of width 32"),
        (lambda t: t | {"v_head.summary.bias": torch.tensor([math.nan])}, "expected finite numbers"),
    ],
)  # fmt: skip
def test_a_head_that_is_not_the_trained_one_is_refused(scorer, tmp_path, change, message):
    found = change(load_file(scorer / "value_head.safetensors"))
    if found is not None:
        save_file(found, tmp_path / "value_head.safetensors")
    with pytest.raises(ModelError, match=message):
        value_head.read(str(tmp_path), WIDTH)


def test_a_damaged_head_is_refused(tmp_path):
    (tmp_path / "value_head.safetensors").write_bytes(b"no tensors")
    with pytest.raises(ModelError, match="can't read the value head"):
        value_head.read(str(tmp_path), WIDTH)


def test_a_score_that_is_not_finite_stops_with_the_problem(scorer, drawn):
    reward = Learned(str(scorer), device="cpu")
    with torch.no_grad():
        reward.policy.value_head.summary.weight[0, 0] = math.inf
    with pytest.raises(RunError, match=f"expected finite scores of problem '{drawn[0].id}'"):
        reward(samples([(drawn[0], "3")]))


def test_a_problem_that_can_not_be_read_is_told_and_the_others_are_scored(scorer, drawn):
    broken = Problem("broken", "What is this?", (Image("none.png"),))
    reward = Learned(str(scorer), device="cpu")
    found = list(reward.scores([(drawn[0], ["3"]), (broken, ["3", "4"]), (drawn[1], ["3", "4"])]))
    assert [len(f) if isinstance(f, list) else type(f) for f in found] == [1, DataError, 2]
    with pytest.raises(DataError, match=r"none\.png"):
        reward(samples([(broken, "3")]))


def test_a_text_beyond_the_positions_that_the_model_knows_is_refused(scorer, drawn):
    reward = Learned(str(scorer), device="cpu")
    most = reward.policy.base.config.get_text_config().max_position_embeddings
    found = list(reward.scores([(drawn[0], ["3", " 7" * most]), (drawn[0], ["3"])]))
    assert f"of at most {most} positions" in str(found[0])
    assert isinstance(found[1], list)


def test_a_matrix_to_words_that_is_the_embedding_is_not_dropped(scorer):
    policy = loading.load(str(scorer), device="cpu")
    with pytest.raises(ModelError, match="tied to the embedding"):
        parts.drop_lm_head(policy)


def test_without_the_matrix_to_words_it_scores_the_same(scorer, drawn, tmp_path):
    policy = untied(scorer)
    policy.value_head = ValueHead(WIDTH, STYLE, seed=1)
    policy.save(tmp_path / "whole")
    parts.drop_lm_head(policy)
    policy.save(tmp_path / "dropped")
    size, smaller = ((tmp_path / name / "model.safetensors").stat().st_size for name in ("whole", "dropped"))
    assert smaller < size
    scores = [
        [s.value for s in Learned(str(tmp_path / name), device="cpu")(samples(mixed(drawn, 9)))]
        for name in ("whole", "dropped")
    ]
    assert scores[0] == scores[1]
    with pytest.raises(ModelError, match=r"1 of its weights are missing .* lm_head\.weight"):
        loading.load(str(tmp_path / "dropped"), device="cpu")
    whole = loading.load(str(tmp_path / "dropped"), device="cpu", scores=True).model.lm_head.weight
    assert not whole.any()  # not random numbers, others at every load


def test_adapters_on_a_model_without_a_matrix_to_words_are_folded(scorer, drawn, tmp_path):
    policy = untied(scorer)
    parts.drop_lm_head(policy)
    policy.save(tmp_path / "base")
    policy = loading.load(str(tmp_path / "base"), device="cpu", scores=True)
    add_lora(policy, 2, 4, ("language",))
    policy.value_head = ValueHead(WIDTH, STYLE, seed=1)
    policy.save(tmp_path / "adapters")
    loading.fold(str(tmp_path / "adapters"), tmp_path / "folded")
    asked = samples(mixed(drawn, 4))
    scores = [Learned(str(tmp_path / name), device="cpu")(asked) for name in ("adapters", "folded")]
    assert scores[0] == scores[1]
