import operator
import re
from dataclasses import replace

import numpy as np
from PIL import Image as Picture

from visreason.data.examples import read_examples
from visreason.prompt import style
from visreason.record import Problem
from visreason.world import pen, primer, problems
from visreason.world.draft import Draft

STYLE = style("r1_onevision")
SIGNS = {"+": operator.add, "-": operator.sub, "*": operator.mul, "/": operator.truediv}


def drawn(index: int, seed: int = 0) -> tuple[Problem, Picture.Image | None]:
    """A lesson with what is to be said as its answer."""
    sample, picture = primer.draw(index, STYLE, seed)
    return replace(sample.problem, answer=sample.completion.text), picture


def lessons(form: str, n: int = 200) -> list[tuple[Problem, Picture.Image | None]]:
    return [(problem, picture) for problem, picture in map(drawn, range(n)) if problem.meta["form"] == form]


def test_the_same_number_is_the_same_lesson() -> None:
    for i in range(20):
        (one, picture), (other, again) = drawn(i), drawn(i)
        assert one == other
        assert (picture is None) == (again is None)
        assert picture is None or again is None or picture.tobytes() == again.tobytes()
    assert [drawn(i)[0].answer for i in range(20)] != [drawn(i, seed=1)[0].answer for i in range(20)]


def test_sums_are_true_and_have_no_picture() -> None:
    found = lessons("sum")
    assert len(found) > 20
    for problem, picture in found:
        left, right = re.fullmatch(r"(\d+ [-+*/] \d+) = (\d+)\.", problem.answer or "").groups()  # type: ignore[union-attr]
        assert problem.question == f"What is {left}?"
        one, sign, other = left.split()
        assert int(right) == SIGNS[sign](int(one), int(other))
        assert picture is None


def test_a_whole_picture_is_read_row_by_row_as_it_stands() -> None:
    found = [(p, c) for p, c in lessons("picture", 400) if "column" not in p.question]
    assert {p.question for p, _ in found} == set(primer.PICTURE)
    for problem, picture in found:
        assert picture is not None
        pixels = np.asarray(picture).astype(int)
        rows = re.findall(r"row (\d): ([^.]+)\.", problem.answer or "")
        assert rows
        for row, text in rows:
            cells = text.split(", ")
            assert [cell[0] for cell in cells] == list("abcd")
            for c, cell in enumerate(cells):
                place = pixels[int(row) * 28 - 28 : int(row) * 28, c * 28 : c * 28 + 28]
                if (word := cell.split()[1]) in pen.COLORS:
                    assert (np.abs(place - pen.COLORS[word]).sum(-1) == 0).mean() > 0.05


def test_a_picture_of_bars_is_read_column_by_column() -> None:
    found = [(p, c) for p, c in lessons("picture", 400) if "column" in p.question]
    assert found
    for problem, picture in found:
        assert picture is not None
        pixels = np.asarray(picture)
        for c, cell in enumerate((problem.answer or "").rstrip(".").split(", ")):
            column = pixels[:, c * 28 + 14]
            name, *bar = cell.split()
            assert name == "abcd"[c]
            if bar == ["empty"]:
                assert not any((column == rgb).all(-1).any() for rgb in pen.COLORS.values())
            else:
                height = (column == pen.COLORS[bar[0]]).all(-1).sum()
                assert height == int(bar[1]) * (pen.SIZE // 8 - 1)


def test_a_told_picture_has_the_words_of_its_cells_and_the_thought_of_its_question() -> None:
    found = lessons("told", 400)
    assert len(found) > 100
    kinds = set()
    for problem, picture in found:
        told, question, *choices = problem.question.split("\n")
        parsed = STYLE.parse(problem.answer or "")
        thought = parsed.thought or ""
        assert parsed.well_formed
        assert picture is None
        assert question.endswith("?")
        if "shape" in question:
            kinds.add("counting")
            cells = [cell.split() for cell in told.removeprefix("row 1: ").rstrip(".").split(", ")]
            read = thought.split(".")[0].removeprefix("row 1: ").split(", ")
            for cell, words in zip(cells, read, strict=True):
                assert set(words.split()) - set("1234") <= set(cell)
        if " bar" in question:
            kinds.add("bars")
            shown = [bar for bar in told.rstrip(".").split(", ") if "empty" not in bar]
            assert thought.split(".")[0] == ", ".join(shown)
        if choices:
            kinds.add("choices")
            asked, letter = re.search(r"(\w+) is ([A-D])\.$", thought).groups()  # type: ignore[union-attr]
            assert f"({letter}) {asked}" in choices
            assert parsed.answer == letter
    assert kinds == {"counting", "bars", "choices"}


def test_a_piece_names_what_stands_in_it() -> None:
    sizes = set()
    for problem, picture in lessons("piece", 400):
        assert picture is not None
        sizes.add(picture.size)
        colors = set(re.findall("|".join(pen.COLORS), problem.answer or ""))
        pixels = np.asarray(picture).reshape(-1, 3)
        for color in colors:
            assert (pixels == pen.COLORS[color]).all(-1).any(), problem
    assert sizes == {(28, 28), (112, 28), (28, 112)}


def test_a_tall_bar_is_named_once_with_its_height() -> None:
    for problem, picture in lessons("piece", 400):
        if found := re.fullmatch(r"(\w+) (\d)", problem.answer or ""):
            assert picture is not None
            column = (np.asarray(picture)[:, 14] == pen.COLORS[found[1]]).all(-1).sum()
            assert column == int(found[2]) * (pen.SIZE // 8 - 1)


def test_lessons_are_drawn_from_the_train_side_only(monkeypatch) -> None:
    splits = []

    def draft(split: str, index: int, seed: int) -> Draft:
        splits.append(split)
        return real(split, index, seed)

    real = problems.draft
    monkeypatch.setattr(problems, "draft", draft)
    for i in range(30):
        primer.draw(i, STYLE)
    assert set(splits) == {"train"}


def test_written_lessons_can_be_learned(tmp_path) -> None:
    rejected: list = []
    read = read_examples(primer.write(tmp_path, 24, STYLE), style("direct"), rejected)
    assert [[c.text for c in e.completions] for e in read] == [[drawn(i)[0].answer] for i in range(24)]
    assert not rejected
