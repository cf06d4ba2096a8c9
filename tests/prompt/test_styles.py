import sys
import types

import pytest

from visreason.errors import UsageError
from visreason.prompt import STYLES, style
from visreason.prompt.layouts import parse_plain, write_answer
from visreason.prompt.styles import Style

AWAKER = (
    "A conversation between User and Assistant. The user asks a question, and the Assistant solves it. The assistant "
    "first thinks about the reasoning process in the mind and then provides the user with the answer. The reasoning "
    "process and answer are enclosed within <think> </think> and <answer> </answer> tags, respectively, i.e., <think> "
    "reasoning process here </think><answer> answer here </answer>"
)
WETHINK = (
    "You FIRST think about the reasoning process as an internal monologue and then provide the final answer.\n"
    "The reasoning process MUST BE enclosed within <think> </think> tags. The final answer MUST BE enclosed within "
    "<answer> </answer> tags."
)
R1_ONEVISION = (
    "{question}  Output the thinking process in <think> </think> and final answer in <answer> </answer> tags."
)
R1_ONEVISION_EVAL = (
    "{question} First output the thinking process in <think> </think> tags and then output the final answer in "
    "<answer> </answer> tags."
)
VIRGO = (
    "Please first think deeply about the question, and then put the final answer in \\boxed{}.\n{question}"
)


@pytest.mark.parametrize(
    ("name", "system", "user"),
    [
        ("awaker", AWAKER, "{question}"),
        ("wethink", WETHINK, "{question}"),
        ("r1_onevision", None, R1_ONEVISION),
        ("r1_onevision_eval", None, R1_ONEVISION_EVAL),
        ("virgo", "You are a helpful assistant.", VIRGO),
        ("direct", None, "{question}"),
    ],
)
def test_prompts_are_those_of_the_published_systems_to_the_letter(name, system, user):
    assert (STYLES[name].system, STYLES[name].user) == (system, user)


def test_styles_carry_the_name_they_are_found_by():
    assert all(s.name == name for name, s in STYLES.items())


def test_an_unknown_style_is_refused_with_the_nearest_name():
    with pytest.raises(UsageError, match="did you mean 'awaker'"):
        style("awakr")


def test_a_style_of_ones_own_is_found_by_module_and_object(monkeypatch):
    mine = Style("mine", None, "{question}", write_answer, parse_plain)
    module = types.ModuleType("my_prompts")
    module.mine, module.number = mine, 3
    monkeypatch.setitem(sys.modules, "my_prompts", module)
    assert style("my_prompts:mine") is mine
    with pytest.raises(UsageError, match="found int"):
        style("my_prompts:number")
    with pytest.raises(UsageError, match="found none"):
        style("my_prompts:other")
    with pytest.raises(UsageError, match="found none"):
        style("no_such_module:mine")
