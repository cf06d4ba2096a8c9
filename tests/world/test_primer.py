import hashlib
import operator
import re

import numpy as np

from visreason.world import pen, primer, problems

SIGNS = {"+": operator.add, "-": operator.sub, "*": operator.mul, "/": operator.truediv}


def lessons(form: str, n: int = 200):
    return [
        (problem, picture) for problem, picture in map(primer.draw, range(n)) if problem.meta["form"] == form
    ]


def test_the_same_number_is_the_same_lesson() -> None:
    for i in range(20):
        (one, picture), (other, again) = primer.draw(i), primer.draw(i)
        assert one == other
        assert (picture is None) == (again is None)
        assert picture is None or again is None or picture.tobytes() == again.tobytes()
    assert [primer.draw(i)[0].answer for i in range(20)] != [
        primer.draw(i, seed=1)[0].answer for i in range(20)
    ]


def test_sums_are_true_and_have_no_picture() -> None:
    found = lessons("sum")
    assert len(found) > 20
    for problem, picture in found:
        left, right = re.fullmatch(r"(\d+ [-+*/] \d+) = (\d+)\.", problem.answer or "").groups()  # type: ignore[union-attr]
        assert problem.question == f"What is {left}?"
        one, sign, other = left.split()
        assert int(right) == SIGNS[sign](int(one), int(other))
        assert picture is None


def test_a_whole_picture_has_sixteen_words_and_empty_ones_where_nothing_stands() -> None:
    for problem, picture in lessons("picture"):
        assert picture is not None
        words = (problem.answer or "").split()
        assert len(words) == 16
        pixels = np.asarray(picture).astype(int)
        for place, word in enumerate(words):
            r, c = divmod(place, 4)
            cell = pixels[r * 28 : r * 28 + 28, c * 28 : c * 28 + 28]
            if word in pen.COLORS:
                assert (np.abs(cell - pen.COLORS[word]).sum(-1) == 0).mean() > 0.05


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


def test_lessons_are_drawn_from_the_train_side_only() -> None:
    heldout = {
        (hashlib.sha256(p.tobytes()).digest(), q.question)
        for q, p in (problems.draw("heldout", i) for i in range(300))
    }
    seen = {(hashlib.sha256(p.tobytes()).digest(), q.question) for q, p in map(primer.draw, range(300)) if p}
    assert not heldout & seen


def test_written_lessons_can_be_read_again(tmp_path) -> None:
    from visreason.data import read_problems

    rejected: list = []
    read = list(read_problems(primer.write(tmp_path, 12), rejected, need_answer=True))
    assert len(read) == 12
    assert not rejected
