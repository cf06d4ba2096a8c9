from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForImageTextToText
from transformers.generation.logits_process import (
    LogitsProcessorList,
    RepetitionPenaltyLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from tests.model import tiny
from tests.model.test_forest import one_by_one
from tests.model.world import STYLE
from visreason.engine import Sampling, connect, decode
from visreason.engine.draw import cut, penalised, sample
from visreason.engine.hf import HF
from visreason.errors import ModelError, RunError
from visreason.model import check
from visreason.model.attention import PATHS
from visreason.model.forest import Branch, Tree
from visreason.model.load import load
from visreason.model.policy import Policy
from visreason.prompt import messages, style
from visreason.record import Image, Problem
from visreason.train import losses, optimizer, update
from visreason.train.settings import Training
from visreason.train.update import Update

STOPS = tuple(range(40, 90))
"""Tokens that end a completion in most tests, so that completions of a random model have many lengths."""


@pytest.fixture(scope="module")
def folder(world, tmp_path_factory):
    """The small model with weights so large that its distributions are far from even."""
    policy = load(str(world / "small"), device="cpu")
    torch.manual_seed(0)
    for p in policy.model.parameters():
        if p.ndim > 1:
            torch.nn.init.normal_(p, std=0.2)
    target = tmp_path_factory.mktemp("engine") / "model"
    policy.save(target)
    return target


@pytest.fixture
def policy(folder):
    found = load(str(folder), device="cpu")
    found.encoder.eos_ids = (*found.encoder.eos_ids, *STOPS)
    found.checked = True  # no forward runs that a test did not ask for
    return found


@pytest.fixture(scope="module")
def plain(folder):
    """The same weights in transformers alone."""
    return AutoModelForImageTextToText.from_pretrained(folder, attn_implementation="eager").eval()


def leaky(q, k, v, layout, scale):
    """Attention that sees other branches."""
    k, v = (x.repeat_interleave(q.shape[1] // x.shape[1], 1) for x in (k, v))
    return torch.nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True, scale=scale).transpose(
        1, 2
    )


def test_the_first_prompt_is_checked_once_and_a_leak_is_refused(policy, ask, monkeypatch):
    policy.checked, checks = False, []
    monkeypatch.setattr(check, "self_check", lambda *args: checks.append(args))
    for _ in range(2):
        HF(policy).generate([ask(1), ask(0)], Sampling(2, max_tokens=4))
    assert len(checks) == 1
    monkeypatch.undo()
    policy.checked = False
    monkeypatch.setitem(PATHS, "segments", leaky)
    with pytest.raises(ModelError, match=r"forest and one-by-one forwards of .* differ by"):
        HF(policy).generate([ask(1)], Sampling(2, max_tokens=4))


@pytest.fixture
def ask(drawn):
    """Makes a conversation about a number of drawn pictures."""

    def conversation(images, question="How many?"):
        shown = tuple(p.images[0] for p in drawn[:images])
        return messages(Problem("p", question, shown), style(STYLE))

    return conversation


@torch.no_grad()
def plain_logits(plain, prompt, ids):
    """Logits (C, V) that predict the completion's tokens, one plain forward."""
    row = torch.cat([prompt.ids, torch.tensor(ids, dtype=torch.long)])[None]
    types = (row == plain.config.image_token_id).int()
    out = plain(input_ids=row, attention_mask=torch.ones_like(row), mm_token_type_ids=types,
                pixel_values=prompt.pixels, image_grid_thw=prompt.grid_N3)  # fmt: skip
    return out.logits[0, len(prompt.ids) - 1 : -1]


def assert_log_probs_are_plain(plain, policy, conversations, answers, temperature):
    for conversation, group in zip(conversations, answers, strict=True):
        for completion in group:
            logits = plain_logits(plain, policy.encoder.prompt(conversation), completion.token_ids)
            logps = (logits / temperature).log_softmax(-1)
            expected = logps.gather(-1, torch.tensor(completion.token_ids)[:, None])[:, 0]
            assert (torch.tensor(completion.logps) - expected).abs().max() < 1e-5


CONVERSATIONS = {
    "one image": [(1, "How many?")],
    "two images": [(2, "Which is larger?")],
    "no image": [(0, "1 + 1?")],
    "a mixed batch": [
        (1, "How many?"),
        (0, "What?"),
        (2, "Which of these two pictures has more?"),
        (1, "Why?"),
    ],
}


@pytest.mark.parametrize("n", [1, 4])
@pytest.mark.parametrize("name", CONVERSATIONS)
def test_log_probs_are_those_of_a_plain_forward(plain, policy, ask, name, n):
    conversations = [ask(*c) for c in CONVERSATIONS[name]]
    answers = HF(policy).generate(conversations, Sampling(n, 0.7, max_tokens=12, seed=n))
    assert [len(g) for g in answers] == [n] * len(conversations)
    assert_log_probs_are_plain(plain, policy, conversations, answers, 0.7)


@pytest.fixture
def watched(monkeypatch):
    """Rows in flight at each decoding step, and groups at each admission."""
    seen = {"rows": [], "admitted": []}
    step, admit = decode.Decoder.step, decode.Decoder.admit

    def watched_step(self, shrink):
        seen["rows"].append(len(self.tokens_R))
        return step(self, shrink)

    def watched_admit(self, groups):
        groups = list(groups)
        seen["admitted"].append(len(groups))
        admit(self, groups)

    monkeypatch.setattr(decode.Decoder, "step", watched_step)
    monkeypatch.setattr(decode.Decoder, "admit", watched_admit)
    return seen


def test_groups_that_finish_make_room_for_those_that_wait(plain, policy, ask, watched):
    conversations = [ask(i % 3, f"Question {i}: " + "how " * i) for i in range(9)]
    answers = HF(policy, max_rows=6).generate(conversations, Sampling(2, 1.0, max_tokens=16, seed=1))
    assert len(watched["admitted"]) > 2
    assert max(watched["rows"]) == 6
    assert_log_probs_are_plain(plain, policy, conversations, answers, 1.0)


def test_finished_rows_leave_when_nothing_waits(plain, policy, ask, watched):
    conversations = [ask(1), ask(0)]
    answers = HF(policy).generate(conversations, Sampling(8, 1.0, max_tokens=40, seed=2))
    rows = watched["rows"]
    assert rows[0] == 16
    assert len(set(rows)) > 2
    assert rows == sorted(rows, reverse=True)
    assert len({len(c.token_ids) for g in answers for c in g}) > 4
    assert_log_probs_are_plain(plain, policy, conversations, answers, 1.0)


def test_long_completions_grow_the_store(plain, policy, ask):
    policy.encoder.eos_ids = policy.encoder.eos_ids[:1]
    conversations = [ask(1), ask(0)]
    answers = HF(policy).generate(conversations, Sampling(2, 1.0, max_tokens=2 * decode.GROW + 3, seed=3))
    assert max(len(c.token_ids) for g in answers for c in g) > 2 * decode.GROW
    assert_log_probs_are_plain(plain, policy, conversations, answers, 1.0)


def test_prompts_are_prefilled_in_rows_of_bounded_length(plain, policy, ask, monkeypatch):
    monkeypatch.setattr(decode, "PREFILL_TOKENS", 150)
    lengths = []
    policy.model.model.language_model.register_forward_pre_hook(
        lambda _, __, kwargs: lengths.append(kwargs["inputs_embeds"].shape[1]), with_kwargs=True
    )
    conversations = [ask(i % 3) for i in range(5)]
    answers = HF(policy).generate(conversations, Sampling(2, max_tokens=4))
    prefilled = [n for n in lengths if n > 1]
    assert len(prefilled) > 1
    assert max(prefilled) <= 150
    assert_log_probs_are_plain(plain, policy, conversations, answers, 1.0)


def test_completions_in_flight_are_bounded_by_their_tokens(policy, ask, watched):
    HF(policy, max_tokens=64).generate([ask(i % 3) for i in range(6)], Sampling(2, max_tokens=16))
    assert max(watched["rows"]) == 4


def test_answers_under_autocast_are_as_the_trainer_scores_them(policy, ask):
    half = replace(policy, autocast=True)
    conversations = [ask(1), ask(0)]
    answers = HF(half).generate(conversations, Sampling(4, max_tokens=12, seed=4))
    trees = [
        Tree(policy.encoder.prompt(c), tuple(_branch(x) for x in group))
        for c, group in zip(conversations, answers, strict=True)
    ]
    sampled = torch.tensor([x for g in answers for c in g for x in c.logps])
    training = Training(model="m", data="d")
    scored = [torch.cat(update.score(p, trees, training)) for p in (half, policy)]
    assert (sampled - scored[0]).abs().mean() < (sampled - scored[1]).abs().mean() < 0.5
    assert (sampled - scored[0]).abs().max() < 0.25


def _branch(completion):
    return Branch(torch.tensor(completion.token_ids), torch.ones(len(completion.token_ids)))


def test_a_full_memory_is_a_paragraph(policy, ask, monkeypatch):
    def full(self, shrink):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB.\nmore")

    monkeypatch.setattr(decode.Decoder, "step", full)
    with pytest.raises(
        RunError, match=r"^the memory of cpu is full .*2 GiB\.\); lower max_completion_tokens"
    ):
        HF(policy).generate([ask(1)], Sampling())


def test_more_completions_of_one_problem_than_rows_are_answered_all_the_same(plain, policy, ask):
    answers = HF(policy, max_rows=3).generate([ask(1), ask(0)], Sampling(5, max_tokens=6))
    assert [len(g) for g in answers] == [5, 5]
    assert_log_probs_are_plain(plain, policy, [ask(1), ask(0)], answers, 1.0)


class Prompts:
    """An encoder whose conversations are encoded already."""

    visual_ids, eos_ids = (tiny.IMAGE, tiny.VIDEO, tiny.START, tiny.END), tuple(range(10, 18))
    tokenizer = None

    def prompts(self, conversations):
        return conversations

    def decode(self, ids):
        return " ".join(map(str, ids))


@pytest.mark.parametrize("name", tiny.CLASSES)
def test_every_supported_class_answers_as_it_scores(name):
    model, prompts = tiny.build(name), Prompts()
    prompts.tokenizer = prompts
    policy = Policy(model, None, prompts, name, "segments", checked=True)  # type: ignore[arg-type]
    asked = [t.prompt for t in tiny.forest_trees(model)]
    answers = HF(policy, max_rows=9).generate(asked, Sampling(3, max_tokens=14, seed=5))
    trees = [
        Tree(p, tuple(Branch(torch.tensor(c.token_ids), torch.ones(len(c.token_ids))) for c in g))
        for p, g in zip(asked, answers, strict=True)
    ]
    sampled = torch.tensor([x for g in answers for c in g for x in c.logps])
    assert (sampled - one_by_one(model, trees)).abs().max() < 1e-5


def test_a_model_that_can_not_share_a_prompt_is_refused():
    policy = Policy(tiny.build("qwen2_5_vl"), None, Prompts(), "sliding", "segments", share=False)  # type: ignore[arg-type]
    with pytest.raises(ModelError, match=r"sliding.*can't serve it"):
        HF(policy)


# How completions end


def test_a_completion_ends_with_its_end_token_or_is_cut(policy, ask):
    ends = policy.encoder.eos_ids
    found = [c for g in HF(policy).generate([ask(1), ask(0)], Sampling(16, max_tokens=10)) for c in g]
    assert Counter(c.finish for c in found).keys() == {"stop", "length"}
    for c in found:
        assert len(c.token_ids) == len(c.logps)
        assert not set(c.token_ids[:-1]) & set(ends)
        assert (c.token_ids[-1] in ends) == (c.finish == "stop")
        assert c.finish == "stop" or len(c.token_ids) == 10


def test_an_end_token_at_the_limit_is_an_end(policy, ask):
    policy.encoder.eos_ids = tuple(range(len(policy.encoder.tokenizer)))
    (found,) = HF(policy).generate([ask(1)], Sampling(3, max_tokens=1))
    assert [(c.finish, len(c.token_ids)) for c in found] == [("stop", 1)] * 3


def test_the_text_is_that_of_the_tokens_without_the_end(policy, ask):
    token = policy.encoder.tokenizer.convert_tokens_to_ids
    answer = [
        101,
        token("<|im_start|>"),  # a control token that is no end stays visible, as junk in an answer should
        token("<|im_end|>"),
    ]
    push(policy, {step: {wanted: 1e4} for step, wanted in enumerate(answer)})
    policy.encoder.eos_ids = policy.encoder.eos_ids[:1]
    ((found,),) = HF(policy).generate([ask(1)], Sampling(1, max_tokens=9))
    assert found.token_ids == tuple(answer)
    assert found.text == policy.encoder.tokenizer.decode(answer[:-1])
    assert found.model == f"hf:{policy.name}"


def push(policy, additions):
    """Add to the logits of tokens: {decoding step: {token: addition}}, at every step where the key is None."""
    calls = [0]

    def hook(module, args, logits):
        for token, addition in {**additions.get(None, {}), **additions.get(calls[0], {})}.items():
            logits[..., token] += addition
        calls[0] += 1
        return logits

    policy.base.get_output_embeddings().register_forward_hook(hook)


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_visual_tokens_are_never_sampled_however_likely(policy, ask, temperature):
    visual = set(policy.encoder.visual_ids)
    assert len(visual) == 5
    push(policy, {None: dict.fromkeys(visual, 50.0)})
    found = [
        c for g in HF(policy).generate([ask(1), ask(0)], Sampling(8, temperature, max_tokens=8)) for c in g
    ]
    assert not visual & {i for c in found for i in c.token_ids}
    assert max(x for c in found for x in c.logps) < -30


@pytest.mark.parametrize("penalty", [1.0, 1.3])
def test_greedy_answers_are_those_of_transformers_generate(plain, policy, ask, penalty):
    conversations = [ask(1), ask(0, "What?"), ask(2)]
    answers = HF(policy).generate(conversations, Sampling(1, 0.0, max_tokens=20, repetition_penalty=penalty))
    for conversation, (found,) in zip(conversations, answers, strict=True):
        prompt = policy.encoder.prompt(conversation)
        visual = (
            {"pixel_values": prompt.pixels, "image_grid_thw": prompt.grid_N3}
            if prompt.pixels is not None
            else {}
        )
        ids = prompt.ids[None]
        types = (ids == plain.config.image_token_id).int()
        out = plain.generate(input_ids=ids, attention_mask=torch.ones_like(ids), mm_token_type_ids=types,
                             do_sample=False, max_new_tokens=20, suppress_tokens=list(policy.encoder.visual_ids),
                             eos_token_id=list(policy.encoder.eos_ids), repetition_penalty=penalty,
                             **visual)  # fmt: skip
        assert found.token_ids == tuple(out[0, len(prompt.ids) :].tolist())
    assert len({c.token_ids for g in answers for c in g}) == 3


def test_the_vision_tower_sees_each_picture_once_whatever_n(policy, ask):
    patches = []
    policy.model.model.visual.register_forward_pre_hook(
        lambda _, args, kw: patches.append(len(args[0])), with_kwargs=True
    )
    HF(policy).generate([ask(1), ask(0), ask(2)], Sampling(6, max_tokens=5))
    assert sum(patches) == sum(int(policy.encoder.prompt(ask(i)).grid_N3.prod(-1).sum()) for i in (1, 2))


# Seeds and state


def texts(engine, conversations, seed):
    return [
        [c.token_ids for c in g] for g in engine.generate(conversations, Sampling(3, max_tokens=8, seed=seed))
    ]


def test_the_same_seed_gives_the_same_answers_and_another_seed_others(policy, ask):
    conversations = [ask(1), ask(0)]
    first = texts(HF(policy), conversations, seed=4)
    torch.manual_seed(123)
    assert texts(HF(policy), conversations, seed=4) == first
    assert texts(HF(policy), conversations, seed=5) != first
    assert len({ids for g in first for ids in g}) > 3


def test_new_weights_are_used_at_once_and_training_mode_is_left_as_it_was(policy, ask):
    engine, conversation = HF(policy), ask(1)
    policy.model.train()
    engine.generate([conversation], Sampling(2, max_tokens=6))
    assert policy.model.training
    branch = Branch(torch.tensor([100, 101]), torch.ones(2))
    chosen = Training(model="m", data="d", lr=0.1)
    trees = [Tree(policy.encoder.prompt(conversation), (branch,))]
    update.apply(policy, optimizer.build(policy, chosen), Update(trees, 1.0), losses.sft, chosen)
    ((found, _),) = engine.generate([conversation], Sampling(2, max_tokens=6))
    branch = Branch(torch.tensor(found.token_ids), torch.ones(len(found.token_ids)))
    (scored,) = update.score(policy, [Tree(trees[0].prompt, (branch,))], chosen)
    assert (scored - torch.tensor(found.logps)).abs().max() < 1e-5


# Conversations that can't be answered


def broken(kind, tmp_path, drawn):
    whole = Path(drawn[0].images[0].path).read_bytes()
    path = tmp_path / "broken.png"
    if kind != "missing":
        path.write_bytes({"empty": b"", "truncated": whole[: len(whole) // 2], "no picture": b"GIF89a"}[kind])
    return messages(Problem("p", "What?", (Image(str(path), size=(112, 112)),)), style(STYLE))


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("missing", "found no file"),
        ("empty", "0 bytes"),
        ("truncated", "can't be decoded"),
        ("no picture", "none or too"),
    ],
)
def test_a_broken_picture_is_an_error_of_its_own_conversation_alone(
    policy, ask, drawn, tmp_path, kind, message
):
    conversations = [ask(1), broken(kind, tmp_path, drawn), ask(0)]
    answers = HF(policy).generate(conversations, Sampling(2, max_tokens=5))
    assert [[c.finish == "error" for c in g] for g in answers] == [[False] * 2, [True] * 2, [False] * 2]
    assert all(message in c.text and c.token_ids == () for c in answers[1])


def test_a_prompt_over_the_budget_is_an_error_of_its_own_conversation_alone(folder, ask):
    engine = connect(f"hf:{folder}", device="cpu", max_prompt_tokens=200)
    answers = engine.generate([ask(0, "why " * 400), ask(0)], Sampling(2, max_tokens=5))
    assert [c.finish == "error" for g in answers for c in g] == [True, True, False, False]
    assert "the budget is 200; lower max_pixels or raise max_prompt_tokens" in answers[0][0].text


def test_nothing_to_answer_is_no_error(policy, tmp_path, drawn):
    assert HF(policy).generate([], Sampling(2)) == []
    answers = HF(policy).generate([broken("missing", tmp_path, drawn)], Sampling(3))
    assert [[c.finish for c in g] for g in answers] == [["error"] * 3]


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_weights_that_have_diverged_are_named(policy, ask, temperature):
    with torch.no_grad():
        policy.model.model.language_model.norm.weight.fill_(float("nan"))
    with pytest.raises(
        RunError, match="expected finite logits, found nan or inf: the model's weights have diverged"
    ):
        HF(policy).generate([ask(1)], Sampling(2, temperature))


# The distribution that is sampled from


LOGITS = torch.tensor([2.0, 1.5, 1.0, 0.5, 0.0, -0.5, 3.0, -2.0])
BANNED = torch.tensor([6])


def cut_by_hand(temperature, top_k, top_p):
    """Probabilities after ban, temperature, top-k and top-p, as a plain loop."""
    weights = {i: float((LOGITS[i] / temperature).exp()) for i in range(len(LOGITS)) if i not in BANNED}
    kept = sorted(weights, key=lambda i: -weights[i])[: top_k or None]
    total, mass, nucleus = sum(weights[i] for i in kept), 0.0, []
    for i in kept:
        if mass >= top_p:
            break
        nucleus.append(i)
        mass += weights[i] / total
    left = sum(weights[i] for i in nucleus)
    return [weights[i] / left if i in nucleus else 0.0 for i in range(len(LOGITS))]


@pytest.mark.parametrize(
    ("temperature", "top_k", "top_p"),
    [
        (1.0, 0, 1.0),
        (0.5, 0, 1.0),
        (2.0, 0, 1.0),
        (1.0, 3, 1.0),
        (1.0, 0, 0.7),
        (0.7, 4, 0.8),
        (1.0, 1, 1.0),
        (1.0, 100, 0.01),
    ],
)
def test_tokens_come_as_often_as_the_cut_distribution_says(temperature, top_k, top_p):
    rows = 20_000
    sampling = Sampling(1, temperature, top_p, top_k)
    noise = torch.empty(rows, len(LOGITS)).exponential_(generator=torch.Generator().manual_seed(7))
    ids, logps = sample(LOGITS.expand(rows, -1), sampling, BANNED, noise)
    counts, expected = (
        torch.bincount(ids, minlength=len(LOGITS)).tolist(),
        cut_by_hand(temperature, top_k, top_p),
    )
    assert all(c == 0 for c, p in zip(counts, expected, strict=True) if p == 0)
    chi2 = sum((c - rows * p) ** 2 / (rows * p) for c, p in zip(counts, expected, strict=True) if p > 0)
    assert chi2 < 27  # 99.97 % of 7 degrees of freedom
    whole = (LOGITS / temperature).log_softmax(0)
    assert torch.allclose(logps, whole[ids])


@pytest.mark.parametrize(
    ("temperature", "top_k", "top_p", "penalty"),
    [
        (1.0, 0, 1.0, 1.05),
        (0.7, 20, 0.8, 1.05),
        (2.0, 0, 0.5, 1.5),
        (0.5, 7, 1.0, 1.0),
        (0.01, 20, 0.001, 1.2),
    ],
)
def test_what_is_drawn_from_is_what_transformers_processors_leave(temperature, top_k, top_p, penalty):
    torch.manual_seed(0)
    logits = 4 * torch.randn(16, 300)
    said = [torch.randint(0, 300, (40,)) for _ in logits]
    steps = [TemperatureLogitsWarper(temperature)]  # in the order of transformers' `generate`
    steps = [RepetitionPenaltyLogitsProcessor(penalty), *steps] if penalty != 1 else steps
    steps += [TopKLogitsWarper(top_k)] if top_k else []
    steps += [TopPLogitsWarper(top_p)] if top_p < 1 else []
    expected = LogitsProcessorList(steps)(torch.stack(said), logits.clone()).softmax(-1)
    sampling = Sampling(1, temperature, top_p, top_k, repetition_penalty=penalty)
    marks = torch.zeros_like(logits, dtype=torch.bool)
    for row, ids in zip(marks, said, strict=True):
        row[ids] = True
    found = cut(penalised(logits / temperature, marks, sampling), sampling).softmax(-1)
    assert torch.equal(found > 0, expected > 0)
    assert torch.allclose(found, expected, atol=1e-6)


def test_penalties_change_what_is_sampled_and_not_the_log_probs_that_are_reported(plain, policy, ask):
    conversations = [ask(1), ask(0, "What?")]
    sampling = Sampling(4, 0.8, top_k=50, max_tokens=24, seed=1)
    free = HF(policy).generate(conversations, sampling)
    held = HF(policy, max_rows=4).generate(conversations, replace(sampling, repetition_penalty=5.0))
    assert free != held

    def again(answers):
        return sum(len(c.token_ids) - len(set(c.token_ids)) for g in answers for c in g)

    assert again(held) < again(free)
    assert_log_probs_are_plain(plain, policy, conversations, held, 0.8)


def test_greedy_takes_the_likeliest_token_that_is_allowed():
    ids, logps = sample(LOGITS.expand(3, -1), Sampling(1, 0.0), BANNED, None)
    assert ids.tolist() == [0] * 3
    assert torch.allclose(logps, LOGITS.log_softmax(0)[0])
