import pytest
import torch

from tests.model.world import STYLE
from visreason.engine import Sampling, connect
from visreason.engine.hf import HF
from visreason.engine.sync import Synced
from visreason.engine.vllm import VLLM
from visreason.errors import RunError, UsageError
from visreason.model.adapters import add_lora
from visreason.model.forest import Branch, Tree, plant
from visreason.model.load import load
from visreason.prompt import messages, open_image, style
from visreason.record import Completion, Image, Problem
from visreason.train import update
from visreason.train.settings import Training

pytestmark = [pytest.mark.vllm, pytest.mark.filterwarnings("default")]
PARTS = ("vision", "merger", "language")
SETTINGS = Training(model="m", data="d")


@pytest.fixture(scope="module")
def engine(world):
    found = VLLM(
        f"{world}/model", dtype="float32", max_prompt_tokens=600, max_completion_tokens=64, memory_share=0.05
    )
    yield found
    found.close()


def synced_with(policy, engine, probes, **more):
    return Synced(policy, engine, probes, lambda trees: update.score(policy, trees, SETTINGS), **more)


@pytest.fixture
def policy(world, engine):
    """The world's model, whose weights the engine has at the start of each test."""
    found = load(f"{world}/model", device="cpu")
    synced_with(found, engine, []).transfer()
    return found


@pytest.fixture
def conversations(drawn):
    """About one image, two, none, and the first one again."""
    first, second = drawn[0].images[0], drawn[1].images[0]
    asked = [
        ((first,), "Which?"),
        ((second, first), "How many?"),
        ((), "What is 1 + 1?"),
        ((first,), "Which?"),
    ]
    return [messages(Problem("p", question, images), style(STYLE)) for images, question in asked]


def images(conversation):
    return [part["image"] for m in conversation for part in m["content"] if part["type"] == "image"]


@torch.no_grad()
def trainer_logps(policy, conversations, answers, temperature=1.0):
    trees = [
        Tree(
            policy.encoder.prompt(c),
            tuple(Branch(torch.tensor(x.token_ids), torch.ones(len(x.token_ids))) for x in g),
        )
        for c, g in zip(conversations, answers, strict=True)
    ]
    return policy.logps(plant(trees, policy.attention_path), temperature).logps_S


def sampled_logps(answers):
    return torch.tensor([x for g in answers for c in g for x in c.logps])


def change(policy, spread=0.02, names=""):
    """New weights in every part: vision tower, merger, language model, and the head, which is tied to the embedding."""
    for name, p in policy.model.named_parameters():
        if names in name:
            p.data.add_(spread * torch.randn_like(p))


@pytest.mark.parametrize("temperature", [1.0, 0.6, 1.5, 0.0])
def test_log_probs_are_those_of_the_trainer(engine, policy, conversations, temperature):
    n = 3 if temperature else 1
    answers = engine.generate(conversations, Sampling(n, temperature, max_tokens=24, seed=1))
    scored = trainer_logps(policy, conversations, answers, temperature or 1.0)
    assert (sampled_logps(answers) - scored).abs().max() < 1e-5
    assert len(scored) > 40


@pytest.mark.parametrize("penalty", [1.0, 1.3])
def test_greedy_answers_are_those_of_hf(engine, policy, conversations, penalty):
    greedy = Sampling(1, 0.0, max_tokens=24, repetition_penalty=penalty)
    found, expected = engine.generate(conversations, greedy), HF(policy).generate(conversations, greedy)
    for (a,), (b,) in zip(found, expected, strict=True):
        assert (a.text, a.token_ids, a.finish) == (b.text, b.token_ids, b.finish)
        assert penalty != 1 or a.logps == pytest.approx(b.logps, abs=1e-5)


@pytest.mark.parametrize("lora", [False, True])
def test_log_probs_are_the_trainers_after_each_of_twenty_syncs(engine, policy, conversations, lora):
    torch.manual_seed(0)
    if lora:
        add_lora(policy, 4, 8, PARTS)
    synced = synced_with(policy, engine, conversations[:2])
    before = None
    for _ in range(20):
        change(policy, 0.02 if lora else 0.01, "lora_" if lora else "")
        assert synced.sync()["sync_difference"] < 1e-5
        now = sampled_logps(engine.generate(conversations, Sampling(1, 0.0, max_tokens=1)))
        assert before is None or (now - before).abs().min() > 1e-4
        before = now
    answers = engine.generate(conversations, Sampling(4, 1.0, max_tokens=24))
    assert (sampled_logps(answers) - trainer_logps(policy, conversations, answers)).abs().max() < 1e-5


def test_adapters_are_left_as_they_are_by_a_sync(engine, policy, conversations):
    add_lora(policy, 4, 8, PARTS)
    change(policy, 0.1, "lora_")
    before = {name: p.clone() for name, p in policy.model.named_parameters()}
    synced_with(policy, engine, conversations[:1]).sync()
    assert all(torch.equal(p, before[name]) for name, p in policy.model.named_parameters())


@pytest.mark.parametrize("part", ["visual.blocks", "visual.merger", "language_model.layers", "embed_tokens"])
def test_weights_that_did_not_arrive_stop_the_run_with_both_values(
    engine, policy, conversations, monkeypatch, part
):
    monkeypatch.setattr(engine, "reload", lambda folder: None)
    change(policy, 0.05, part)
    with pytest.raises(
        RunError, match=r"within 0.0001 nats, found -\d.* of the sampler and -\d.* of the trainer"
    ):
        synced_with(policy, engine, conversations[:2]).sync()


def test_a_proof_can_be_left_out(engine, policy, conversations):
    synced = synced_with(policy, engine, conversations[:1], check_every=3)
    proved = ["sync_difference" in synced.sync() for _ in range(6)]
    assert proved == [True, False, False, True, False, False]


def test_visual_tokens_are_never_sampled(engine, policy, conversations):
    visual = set(engine.encoder.visual_ids)
    assert len(visual) == 5
    answers = engine.generate(conversations, Sampling(32, 2.0, max_tokens=32))
    sampled = [i for g in answers for c in g for i in c.token_ids]
    assert len(sampled) > 2000  # of which 1 in 80 would be visual
    assert not visual & set(sampled)


def test_seeds_decide_and_the_same_conversation_twice_is_answered_twice(engine, conversations):
    def ids(seed):
        return [
            [c.token_ids for c in g]
            for g in engine.generate(conversations, Sampling(2, max_tokens=8, seed=seed))
        ]

    first = ids(4)
    assert ids(4) == first
    assert ids(5) != first
    assert first[0] != first[3]


def test_many_long_prompts_are_answered_together(engine, policy):
    asked = [messages(Problem("p", f"{i} " + "why " * 60), style(STYLE)) for i in range(96)]
    counts = [engine.encoder.count(c) for c in asked]
    assert max(counts) < 600
    assert sum(counts) > 8192  # what vLLM would divide
    answers = engine.generate(asked, Sampling(2, max_tokens=4, seed=3))
    assert (sampled_logps(answers) - trainer_logps(policy, asked, answers)).abs().max() < 1e-5


def test_completions_end_with_their_end_token_or_are_cut(engine, conversations):
    engine.encoder.eos_ids = (*engine.encoder.eos_ids, *range(40, 90))
    try:
        found = [c for g in engine.generate(conversations, Sampling(16, max_tokens=6)) for c in g]
    finally:
        engine.encoder.eos_ids = engine.encoder.eos_ids[:1]
    assert {c.finish for c in found} == {"stop", "length"}
    for c in found:
        assert len(c.token_ids) == len(c.logps)
        assert (c.finish == "stop") == (c.token_ids[-1] in (engine.encoder.eos_ids[0], *range(40, 90)))
        assert c.text == engine.encoder.tokenizer.decode(
            c.token_ids[: len(c.token_ids) - (c.finish == "stop")]
        )


def test_what_can_not_be_asked_is_an_error_of_its_own_conversation_alone(engine, conversations):
    missing = messages(Problem("p", "What?", (Image("nowhere.png", size=(112, 112)),)), style(STYLE))
    long = messages(Problem("p", "why " * 600), style(STYLE))
    answers = engine.generate([conversations[0], missing, long], Sampling(2, max_tokens=4))
    assert [c.finish == "error" for g in answers for c in g] == [False, False, True, True, True, True]
    assert "found no file" in answers[1][0].text
    assert "the budget is 600" in answers[2][0].text
    with pytest.raises(UsageError, match="max_completion_tokens=64"):
        engine.generate(conversations, Sampling(max_tokens=65))


def test_a_prompt_beyond_the_models_positions_is_an_error_of_its_own_conversation_alone(
    engine, conversations, monkeypatch
):
    monkeypatch.setattr(engine.encoder, "max_tokens", 10_000)
    long = messages(Problem("p", "why " * 600), style(STYLE))
    assert engine.encoder.count(long) > engine.length
    first, second = engine.generate([long, conversations[0]], Sampling(2, max_tokens=4))
    assert [c.finish for c in first] == ["error"] * 2
    assert f"the budget is {engine.length - 1}" in first[0].text
    assert all(c.token_ids for c in second)
    assert [[c.finish for c in g] for g in engine.generate([long], Sampling(max_tokens=4))] == [["error"]]


def test_pictures_are_bounded_as_by_hf(world, drawn, tmp_path, policy, engine):
    big = tmp_path / "big.png"
    import PIL.Image

    PIL.Image.open(drawn[0].images[0].path).resize((448, 336)).save(big)
    asked = [messages(Problem("p", "What?", (Image(str(big), size=(448, 336)),)), style(STYLE))]
    answers = engine.generate(asked, Sampling(2, max_tokens=8))
    assert (sampled_logps(answers) - trainer_logps(policy, asked, answers)).abs().max() < 1e-5


def test_adapters_on_disk_are_served_merged(world, tmp_path, engine, conversations):
    policy = load(f"{world}/model", device="cpu")
    add_lora(policy, 4, 8, PARTS)
    change(policy, 0.1, "lora_")
    policy.save(tmp_path / "adapters")
    found = connect(
        f"vllm:{tmp_path / 'adapters'}", dtype="float32", max_prompt_tokens=600, max_completion_tokens=16,
        memory_share=0.05,
    )  # fmt: skip
    answers = found.generate(conversations, Sampling(2, max_tokens=8))
    found.close()
    assert (sampled_logps(answers) - trainer_logps(policy, conversations, answers)).abs().max() < 1e-5


def test_vllm_itself_takes_adapters_of_the_language_model_as_they_are_saved(
    world, tmp_path, policy, conversations
):
    from vllm import LLM, SamplingParams
    from vllm.lora.request import LoRARequest

    add_lora(policy, 4, 8, ("language",))
    change(policy, 0.1, "lora_")
    policy.save(tmp_path / "adapters")
    [first, _, text, _] = [
        {"prompt": policy.encoder.text(c), "multi_modal_data": {"image": [open_image(i) for i in images(c)]}}
        for c in conversations
    ]
    llm = LLM(
        f"{world}/model", dtype="float32", max_model_len=600, enforce_eager=True, gpu_memory_utilization=0.05,
        enable_lora=True, max_lora_rank=8,
    )  # fmt: skip
    drawing = SamplingParams(temperature=1, max_tokens=8, logprobs=0)
    found = llm.generate([first, text], drawing, lora_request=LoRARequest("a", 1, str(tmp_path / "adapters")))
    llm.llm_engine.engine_core.shutdown()
    outputs = [r.outputs[0] for r in found]
    logps = [[step[i].logprob for i, step in zip(o.token_ids, o.logprobs, strict=True)] for o in outputs]
    answers = [
        [Completion(o.text, token_ids=tuple(o.token_ids), logps=tuple(row))]
        for o, row in zip(outputs, logps, strict=True)
    ]
    ours = trainer_logps(policy, [conversations[0], conversations[2]], answers)
    assert (sampled_logps(answers) - ours).abs().max() < 1e-5


def test_a_model_that_is_none_is_refused(tmp_path):
    from visreason.errors import ModelError

    with pytest.raises(ModelError, match="can't read a vision-language model"):
        connect(f"vllm:{tmp_path}")
