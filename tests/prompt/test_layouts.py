import pytest

from visreason.errors import DataError
from visreason.prompt import STYLES
from visreason.prompt.layouts import parse_markers, parse_plain, parse_tags

TAGGED = {
    "<think>a</think><answer>b</answer>": True,
    "<think>a\nb</think>\n\n<answer>c\nd</answer>": True,
    "<think></think><answer></answer>": True,
    "<think>a</think><answer>b</answer>\n": False,
    " <think>a</think><answer>b</answer>": False,
    "<think>a</think>so<answer>b</answer>": False,
    "<think>a</think><answer>b</answer><answer>c</answer>": False,
    "<think>a<think>b</think><answer>c</answer>": False,
    "<answer>b</answer><think>a</think>": False,
    "<think>a</think>": False,
    "<think>a": False,
    "a</think><answer>b</answer>": False,
    "<THINK>a</THINK><answer>b</answer>": False,
    "4": False,
    "": False,
}


@pytest.mark.parametrize(("text", "well_formed"), TAGGED.items())
def test_tags_are_well_formed_as_the_published_pattern_says(text, well_formed):
    assert parse_tags(text).well_formed is well_formed


@pytest.mark.parametrize(
    ("text", "thought", "answer"),
    [
        ("<think> a </think> <answer> b </answer>", "a", "b"),
        ("a</think><answer>b</answer>", "a", "b"),
        ("<think>a</think> so b", "a", "so b"),
        ("<think>a", "a", None),
        ("<think>a <answer>b</answer>", "a", "b"),
        ("<think>a</think><answer>b", "a", "b"),
        ("<think>a</think>", "a", None),
        ("b", None, "b"),
        ("", None, None),
    ],
)
def test_tags_are_read_even_when_they_are_not_well_formed(text, thought, answer):
    parsed = parse_tags(text)
    assert (parsed.thought, parsed.answer) == (thought, answer)


def test_markers_need_a_box_and_their_order():
    good = STYLES["virgo"].target("2 + 2", "4")
    assert parse_markers(good).answer == r"\boxed{4}"
    assert parse_markers(good).well_formed
    assert not parse_markers(good.replace(r"\boxed{4}", "4")).well_formed
    assert not parse_markers(good + "<|begin_of_thought|>").well_formed
    assert not parse_markers(good.replace("<|end_of_thought|>", "")).well_formed


def test_a_solution_that_has_a_box_gets_no_second_one():
    assert STYLES["virgo"].target("t", r"So \boxed{4}.").count("boxed") == 1


def test_plain_text_is_all_solution_but_for_a_thought_of_the_models_own():
    assert parse_plain("Answer: B").answer == "Answer: B"
    assert parse_plain("<think>x</think>B").answer == "B"
    assert not parse_plain(" \n").well_formed


@pytest.mark.parametrize("name", STYLES)
def test_what_a_style_writes_it_reads_back_as_well_formed(name):
    text = STYLES[name].target(" because\nof {that} ", "(B)")
    parsed = STYLES[name].parse(text)
    assert parsed.well_formed
    assert "(B)" in (parsed.answer or "")
    assert parsed.thought in (None, "because\nof {that}")


@pytest.mark.parametrize("name", STYLES)
@pytest.mark.parametrize(
    ("thought", "answer"),
    [
        ("t", " "),
        ("a <think> b", "4"),
        ("t", "<answer>4</answer>"),
        ("stop<|im_end|>", "4"),
        ("t", "<|image_pad|>"),
    ],
)
def test_a_target_that_could_not_be_read_back_is_refused(name, thought, answer):
    with pytest.raises(DataError):
        STYLES[name].target(thought, answer)
