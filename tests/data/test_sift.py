"""Problems taken out before work: doubles of text and picture, benchmark problems, too many of a kind."""

import PIL.Image
import PIL.ImageDraw
import pytest

from visreason.data import sift
from visreason.prompt import image_record
from visreason.record import Problem


@pytest.fixture
def pictures(tmp_path):
    """A drawing; the same as a smaller JPEG; another drawing."""

    def drawn(name, lines, **how):
        picture = PIL.Image.new("RGB", (300, 200), "white")
        pen = PIL.ImageDraw.Draw(picture)
        for line in lines:
            pen.line(line, fill="black", width=9)
        picture.resize(how.get("size", (300, 200))).save(tmp_path / name)
        return image_record(tmp_path / name)

    cross = [(20, 20, 280, 180), (20, 180, 280, 20), (20, 100, 280, 100)]
    return {
        "one": drawn("one.png", cross),
        "again": drawn("again.jpg", cross, size=(294, 196)),
        "other": drawn("other.png", [(150, 10, 150, 190), (20, 30, 280, 30), (20, 170, 280, 170)]),
    }


LONG = "A ladder of ten metres leans at a wall, its foot six metres from it. How high does it reach on that wall?"


def test_doubles_are_found_by_question_and_picture_together(pictures):
    problems = [
        Problem("a", LONG, (pictures["one"],)), Problem("same", LONG, (pictures["one"],)),
        Problem("smaller picture", LONG + " Say.", (pictures["again"],)),
        Problem("other picture", LONG, (pictures["other"],)),
        Problem("other question", "What is it?", (pictures["one"],)), Problem("no picture", LONG),
    ]  # fmt: skip
    found = sift.duplicates(problems, 0.8)
    assert {problems[i].id: rule for i, (rule, _) in found.items()} == {
        "same": "duplicate",
        "smaller picture": "near duplicate",
    }
    assert list(sift.duplicates(problems, None)) == [1]


def test_benchmark_problems_are_found_by_picture_or_question(pictures):
    held = [Problem("b1", LONG), Problem("b2", "Find x.", (pictures["one"],))]
    problems = [
        Problem("text", LONG),
        Problem("picture", "How far?", (pictures["again"],)),
        Problem("free", "Find x."),
    ]
    assert {i: rule for i, (rule, _) in sift.contaminated(problems, held).items()} == {
        0: "benchmark",
        1: "benchmark",
    }


def test_each_picture_is_compared_with_all_that_stay_of_its_answer(pictures):
    shown = [pictures[n] for n in ("one", "other", "again", "other")]
    problems = [Problem(f"p{i}", f"{LONG} ({i})", (p,), answer="8") for i, p in enumerate(shown)]
    problems.append(Problem("p4", f"{LONG} (4)", (pictures["again"],), answer="9"))
    problems.append(Problem("p5", f"{LONG} (5)", (pictures["one"], pictures["other"]), answer="8"))
    problems.append(Problem("p6", f"{LONG} (6)", (pictures["again"], pictures["other"]), answer="8"))
    found = {i: why for i, (_, why) in sift.duplicates(problems, 0.8).items()}
    assert found == {2: "of p0", 3: "of p1", 6: "of p5"}


@pytest.mark.parametrize(
    ("problem", "out"),
    [
        (Problem("p", "1 + 1?", answer="2"), False),
        (Problem("p", "Which?", answer="E", choices=("red", "blue")), True),
        (Problem("p", "Which?", answer="green", choices=("red", "blue")), True),
        (Problem("p", "1 + 1?", answer=" "), True),
        (Problem("p", "What is it?", answer="a cat", check="judge"), False),
        (Problem("p", "1 + 1?"), False),
    ],
)
def test_an_answer_that_no_completion_could_meet_is_found(problem, out):
    assert bool(sift.unverifiable([problem])) == out
