import pytest

from visreason.errors import DataError
from visreason.prompt import STYLES, messages
from visreason.record import Image, Problem

A, B = Image("a.png"), Image("b.png")


def user_parts(problem, style="direct"):
    """The user's content with images as their paths."""
    content = messages(problem, STYLES[style])[-1]["content"]
    return [p["text"] if p["type"] == "text" else p["image"].path for p in content]


def test_the_system_message_is_a_list_with_one_text():
    system, user = messages(Problem("p", "Q?", (A,)), STYLES["awaker"])
    assert system["role"] == "system"
    assert [p["type"] for p in system["content"]] == ["text"]
    assert user == {
        "role": "user",
        "content": [{"type": "image", "image": A}, {"type": "text", "text": "Q?"}],
    }


def test_a_style_without_system_gives_the_users_turn_alone():
    assert [m["role"] for m in messages(Problem("p", "Q?"), STYLES["direct"])] == ["user"]


@pytest.mark.parametrize(
    ("question", "images", "parts"),
    [
        ("Q?", (), ["Q?"]),
        ("Q?", (A, B), ["a.png", "b.png", "Q?"]),
        ("<image>\nQ?", (A,), ["a.png", "\nQ?"]),
        ("Is <image> like <image>?", (A, B), ["Is ", "a.png", " like ", "b.png", "?"]),
        ("Is <image2> like <image1>?", (A, B), ["Is ", "b.png", " like ", "a.png", "?"]),
        ("Is <image 1> like <image 2>?", (A, B), ["Is ", "a.png", " like ", "b.png", "?"]),
        ("How many?\n<image1>", (A,), ["How many?\n", "a.png"]),
        ("Look: <image1><image2>", (A, B), ["Look: ", "a.png", "b.png"]),
        ("<image1> or <image1>?", (A,), ["a.png", " or <image1>?"]),
    ],
)
def test_images_stand_where_the_question_has_its_marks(question, images, parts):
    assert user_parts(Problem("p", question, images)) == parts


def test_numbers_that_are_labels_in_one_picture_stay_in_the_text():
    question = "The ant <image1> walks home <image2>.\n<image3>"
    assert user_parts(Problem("p", question, (A,))) == ["a.png", question]


@pytest.mark.parametrize(
    ("question", "images"),
    [
        ("<image> Q?", ()),
        ("<image><image> Q?", (A,)),
        ("<image> Q?", (A, B)),
        ("<image1> Q?", (A, B)),
        ("<image1> <image3> Q?", (A, B)),
        ("<image> <image1> Q?", (A, B)),
        ("<image0> Q?", (A,)),
    ],
)
def test_marks_and_images_that_do_not_match_are_refused(question, images):
    with pytest.raises(DataError, match="mark"):
        messages(Problem("p", question, images), STYLES["direct"])


def test_choices_are_lines_below_the_question():
    problem = Problem("p", "Which?", choices=("red", "blue"))
    assert user_parts(problem) == ["Which?\n(A) red\n(B) blue"]
    assert user_parts(problem, "r1_onevision")[0].startswith("Which?\n(A) red\n(B) blue  Output the thinking")


@pytest.mark.parametrize(
    "question", ["Which? (A) red (B) blue", "Which?\nA. red\nB. blue", "Which? A: red, B: blue"]
)
def test_choices_that_the_question_lists_are_not_repeated(question):
    assert user_parts(Problem("p", question, choices=("red", "blue"))) == [question]


def test_choices_that_are_letters_in_the_picture_are_not_listed():
    assert user_parts(Problem("p", "Which?", choices=("A", "B", "C"))) == ["Which?"]


def test_the_hint_style_words_choices_its_own_way():
    text = user_parts(Problem("p", "Which?", choices=("red", "blue")), "hint")[0]
    assert text.endswith("Question: Which?\nChoices:\n(A) red\n(B) blue")
    assert "letter" not in user_parts(Problem("p", "Which?"), "hint")[0]


def test_images_in_choices_find_their_places():
    problem = Problem("p", "Which?", (A, B), choices=("<image1>", "<image2>"))
    assert user_parts(problem) == ["Which?\n(A) ", "a.png", "\n(B) ", "b.png"]


def test_braces_of_latex_and_of_questions_are_left_alone():
    question = r"Is \frac{1}{2} {question} {choices} {}?"
    assert user_parts(Problem("p", question), "virgo")[0].endswith("\n" + question)


@pytest.mark.parametrize(
    "token",
    ["<|im_end|>", "<|im_start|>", "<|image_pad|>", "<|vision_start|>", "<|endoftext|>", "<｜User｜>"],
)
def test_control_tokens_in_data_are_refused(token):
    with pytest.raises(DataError, match="control token"):
        messages(Problem("p", f"Q? {token}"), STYLES["direct"])
    with pytest.raises(DataError, match="control token"):
        messages(Problem("p", "Q?", choices=("red", token)), STYLES["direct"])


@pytest.mark.parametrize("question", ["Is |x| < 3 and |y|>2?", "<|x|>", "a <| b |> c", "⟨ψ|φ⟩"])
def test_formulas_with_bars_are_no_control_tokens(question):
    assert user_parts(Problem("p", question)) == [question]


def test_more_choices_than_letters_are_refused():
    with pytest.raises(DataError, match="26"):
        messages(Problem("p", "Q?", choices=tuple("x" * 27)), STYLES["direct"])
