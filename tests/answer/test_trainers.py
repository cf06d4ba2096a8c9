import importlib.util
from functools import partial

import pytest

from visreason.answer import accuracy_reward, compute_score, grade
from visreason.errors import DataError, UsageError


def test_trl_columns_of_every_name_and_both_kinds_of_completion():
    completions = [[{"role": "assistant", "content": r"\boxed{4}"}], r"\boxed{5}"]
    for name in ("answer", "solution", "ground_truth", "gold"):
        assert accuracy_reward(completions, prompts=["", ""], **{name: ["4", "4"]}) == [1.0, 0.0]
    assert accuracy_reward(["(A)"], answer=["A"], choices=[["red", "blue"]]) == [1.0]


def test_trl_leaves_out_what_has_no_gold_answer():
    for gold in ("", None, [4]):
        with pytest.warns(RuntimeWarning, match="no reward: .*expected an answer"):
            assert accuracy_reward([r"\boxed{4}"], answer=[gold]) == [None]
    with pytest.raises(DataError, match="rename"):
        accuracy_reward([r"\boxed{4}"], prompts=[""])


def test_trl_columns_that_do_not_fit_are_an_error_of_the_data():
    for columns in ({"answer": ["4"]}, {"answer": "44"}, {"answer": ["4", "4"], "choices": [["4", "5"]]}):
        with pytest.raises(DataError, match="expected 2 values in column"):
            accuracy_reward(["4", "5"], **columns)


def test_trl_messages_without_text_state_nothing():
    called = [{"role": "assistant", "content": None, "tool_calls": []}]
    parts = [
        {"role": "assistant", "content": [{"type": "text", "text": "It is "}, {"type": "text", "text": "4."}]}
    ]
    assert accuracy_reward([called, parts, None], answer=["None", "4", "None"]) == [0.0, 1.0, 0.0]
    with pytest.raises(DataError, match="text or messages"):
        accuracy_reward([4], answer=["4"])


def test_easyr1_rows_without_a_gold_answer_are_an_error_of_the_data():
    for row in ({"response": "4"}, {"response": "4", "ground_truth": None}, {"ground_truth": "4"}, "4"):
        with pytest.raises(DataError, match="expected response and ground_truth in row 1"):
            compute_score([{"response": "4", "ground_truth": "4"}, row])
    with pytest.warns(RuntimeWarning, match="no reward"):
        assert compute_score([{"response": "4", "ground_truth": " "}])[0]["accuracy"] == 0.0
    for weight in (1.5, -0.1, float("nan"), "0.1"):
        with pytest.raises(UsageError, match="from 0 to 1"):
            compute_score([], format_weight=weight)


def test_grade_takes_numbers_and_no_response():
    assert grade("4.0", 4).correct
    assert grade("0.25", 0.25).correct
    assert grade(None, "4").reason == "unparsed"


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        ((b"4", "4"), "expected a response as text, found bytes"),
        (("4", ["4"]), r"expected an answer as text or a number, found \['4'\]"),
        (("4", True), "expected an answer as text or a number"),
        (("4", None), "expected an answer to check against"),
        (("A", "A", "AB"), "expected choices as a list"),
        (("A", "A", [1, 2]), "expected choices as a list"),
    ],
)
def test_grade_says_what_it_expected(arguments, found):
    with pytest.raises(DataError, match=found):
        grade(*arguments)


def test_easyr1_batches_have_overall_format_and_accuracy():
    inputs = [
        {"response": r"<think>a</think>\boxed{4}", "ground_truth": "4"},
        {"response": "5", "ground_truth": "4"},
    ]
    assert compute_score(inputs, format_weight=0.5) == [
        {"overall": 1.0, "format": 1.0, "accuracy": 1.0},
        {"overall": 0.0, "format": 0.0, "accuracy": 0.0},
    ]


def test_grade_takes_conventions():
    assert not grade("28", "0.28").correct
    assert grade("28", "0.28", rules={"times_100": True}).correct


def test_easyr1_loads_the_function_from_a_file_and_calls_it_with_what_it_has(tmp_path):
    path = tmp_path / "reward.py"
    path.write_text("from visreason.answer import compute_score\n")
    spec = importlib.util.spec_from_file_location(
        "custom_reward_fn", path
    )  # as verl/workers/reward/function.py does
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    reward = partial(module.compute_score, format_weight=0.2)
    row = {"response": r"<think>2+2</think> \boxed{4}", "response_length": 9, "ground_truth": "4"}
    assert reward([row, {**row, "ground_truth": "5"}]) == [
        {"overall": 1.0, "format": 1.0, "accuracy": 1.0},
        {"overall": 0.2, "format": 1.0, "accuracy": 0.0},
    ]
    with pytest.raises(DataError, match="reward_type: batch"):
        reward(row)


@pytest.mark.peers
def test_trl_trains_with_the_function_as_it_is(tmp_path):
    from datasets import Dataset
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM
    from trl import GRPOConfig, GRPOTrainer

    words = {w: i for i, w in enumerate(("<pad>", "<eos>", *"0123456789+="))}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="<pad>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    size = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    model = Qwen2ForCausalLM(Qwen2Config(vocab_size=len(words), num_key_value_heads=2, **size))
    seen = []

    def spy(completions, **columns):
        seen.append((completions, columns["answer"], accuracy_reward(completions, **columns)))
        return seen[-1][2]

    settings = GRPOConfig(
        str(tmp_path), max_steps=2, per_device_train_batch_size=4, num_generations=4, max_completion_length=1,
        report_to=[], logging_steps=1, use_cpu=True, bf16=False, save_strategy="no",
    )  # fmt: skip
    trainer = GRPOTrainer(
        model,
        reward_funcs=spy,
        args=settings,
        train_dataset=Dataset.from_dict({"prompt": ["1 + 3 =", "2 + 5 ="] * 4, "answer": ["4", "7"] * 4}),
        processing_class=PreTrainedTokenizerFast(
            tokenizer_object=tokenizer, pad_token="<pad>", eos_token="<eos>"
        ),
    )
    trainer.train()
    assert len(seen) == 2
    for completions, answers, rewards in seen:
        assert rewards == [float(c.strip() == a) for c, a in zip(completions, answers, strict=True)]
    logged = [row["reward"] for row in trainer.state.log_history if "reward" in row]
    assert logged == pytest.approx([sum(rewards) / 4 for *_, rewards in seen])
