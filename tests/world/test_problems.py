import hashlib
import operator
import re
import time
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Picture

from tests.world.conftest import Drawn
from visreason.errors import DataError, UsageError
from visreason.record import Problem, to_json
from visreason.store import read_records, sha256
from visreason.world.problems import FAMILIES, LEVELS, ROUND, SPLITS, draw, place, write

GOLDEN = {
    ("train", 0): "0793a275a8ad526a",
    ("train", 1): "12eb2deb3aad6759",
    ("train", 2): "3a490cea1f2fd70f",
    ("train", 3): "2339e135831961bd",
    ("train", 1000): "f1e3579e00c9bee7",
    ("heldout", 11): "971db3caabc815a8",
}
CHECKS = (("math", "number"), ("exact", "word"), ("choice", "choice"))
SIGNS = {"+": operator.add, "-": operator.sub, "*": operator.mul, "/": operator.truediv}


def fingerprint(problem: Problem, picture: Picture.Image) -> str:
    text = repr(sorted(to_json(problem).items())).encode()
    return hashlib.sha256(text + picture.tobytes()).hexdigest()[:16]


@pytest.mark.parametrize(("split", "index"), GOLDEN)
def test_the_same_number_is_the_same_text_and_pixels_on_every_machine(split: str, index: int) -> None:
    assert fingerprint(*draw(split, index)) == GOLDEN[split, index]


def test_another_seed_is_another_problem() -> None:
    assert all(fingerprint(*draw("train", i, seed=1)) != fingerprint(*draw("train", i)) for i in range(48))


def test_an_unknown_split_is_refused_with_the_known_ones() -> None:
    with pytest.raises(UsageError, match="train or heldout, found 'test'"):
        draw("test", 0)


def test_no_question_about_a_description_stands_in_both_splits_whatever_the_seed() -> None:
    content = defaultdict(set)
    for split in SPLITS:
        for seed in (0, 1, 2):
            for index in range(1200):
                problem, picture = draw(split, index, seed)
                content[split].add((problem.description, problem.question))
                content[split].add((hashlib.sha256(picture.tobytes()).digest(), problem.question))
    assert not content["train"] & content["heldout"]


def test_every_prefix_is_balanced_over_families_and_levels() -> None:
    for n in (12, 100, 601):
        for slot in (0, 1):
            counts = Counter(place(i)[slot] for i in range(n)).values()
            assert max(counts) - min(counts) <= len(FAMILIES)


def test_every_form_takes_its_turn() -> None:
    turns = {place(i) for i in range(ROUND)}
    assert turns == {(f, n, form) for f, forms in FAMILIES.items() for n in LEVELS for form in forms[n]}


def test_few_heldout_problems_are_drawn_twice() -> None:
    ids = [draw("heldout", i)[0].id for i in range(600)]
    assert len(ids) - len(set(ids)) <= 12, f"{len(ids) - len(set(ids))} of 600"


def test_pictures_are_small_rgb_and_never_blank(drawn: Drawn) -> None:
    for _, picture in drawn:
        assert (picture.mode, picture.size) == ("RGB", (112, 112))
        assert 0.01 < (np.asarray(picture) < 200).any(-1).mean() < 0.9


def test_every_record_says_where_it_comes_from(drawn: Drawn) -> None:
    for problem, _ in drawn:
        assert set(problem.meta) == {"source", "family", "form", "level", "answer_type", "guess"}
        assert problem.meta["source"] == "world"
        assert (
            problem.check
            == {"number": "math", "word": "exact", "choice": "choice"}[problem.meta["answer_type"]]
        )
        assert bool(problem.choices) == (problem.meta["answer_type"] == "choice")


def test_thoughts_end_with_the_answer(drawn: Drawn) -> None:
    for problem, _ in drawn:
        assert re.search(rf"[ ]{re.escape(problem.answer or '-')}\.$", problem.thought or ""), problem


def test_every_equation_in_a_thought_is_true(drawn: Drawn) -> None:
    for problem, _ in drawn:
        assert (problem.thought or "").count("=") == len(equations(problem))
        for left, right in equations(problem):
            assert value(left.split()) == int(right), problem


def equations(problem: Problem) -> list[tuple[str, str]]:
    return re.findall(r"(\d+(?: [-+*/] \d+)+) = (\d+)\.", problem.thought or "")


def value(words: list[str]) -> float:
    """A chain of numbers and one kind of sign, worked from the left."""
    result = float(words[0])
    for sign, number in zip(words[1::2], map(int, words[2::2]), strict=True):
        result = SIGNS[sign](result, number)
    return result


def test_choices_differ_and_the_answer_is_a_letter_of_one(drawn: Drawn) -> None:
    for problem, _ in drawn:
        if problem.choices:
            assert len(set(problem.choices)) == len(problem.choices) in (3, 4)
            letters = "ABCD"[: len(problem.choices)]
            assert (problem.answer or "-") in letters
            assert problem.meta["guess"] in letters


def test_texts_are_short_and_made_of_few_words(drawn: Drawn) -> None:
    words = Counter()
    for problem, _ in drawn:
        assert len(problem.question.split()) <= 15
        assert len((problem.thought or "").split()) <= 64
        words.update(re.findall(r"[A-Za-z]+", f"{problem.question} {problem.thought}"))
    assert len(words) <= 150


def test_no_form_has_a_usual_answer_and_guesses_are_mostly_wrong(drawn: Drawn) -> None:
    forms = defaultdict(list)
    for problem, _ in drawn:
        forms[problem.meta["family"], problem.meta["level"], problem.meta["form"]].append(problem)
    for form, problems in forms.items():
        usual = Counter(p.answer for p in problems).most_common(1)[0][1]
        assert usual / len(problems) < 0.5, form
        guesses = [p.meta["guess"] for p in problems]
        assert in_range(guesses, [p.answer or "" for p in problems]) > 0.85 * len(guesses), form
    right = sum(p.answer == p.meta["guess"] for p, _ in drawn)
    assert right / len(drawn) < 0.3


def in_range(guesses: list[str], answers: list[str]) -> int:
    """How many guesses might have been answers: words and letters that were, numbers between the extremes."""
    if not answers[0].isdigit():
        return sum(guess in answers for guess in guesses)
    low, high = min(map(int, answers)), max(map(int, answers))
    return sum(low <= int(guess) <= high for guess in guesses)


def test_written_records_are_different_complete_and_point_at_their_pictures(tmp_path: Path) -> None:
    path = write(tmp_path / "world", "heldout", 120)
    problems = list(read_records(path, Problem))
    assert path == tmp_path / "world" / "heldout.jsonl"
    assert len({p.id for p in problems}) == len(problems) == 120
    for index, problem in enumerate(problems):
        (image,) = problem.images
        digest = sha256(Path(image.path))
        assert (problem.meta["family"], problem.meta["level"]) == place(index)[:2]
        assert (image.sha256, Path(image.path).name) == (digest, f"{digest[:16]}.png")
        with Picture.open(image.path) as picture:
            assert (picture.size, image.size) == ((112, 112), (112, 112))


def test_written_text_and_pixels_are_those_that_draw_gives(tmp_path: Path) -> None:
    (problem, *_) = read_records(write(tmp_path, "train", 1), Problem)
    drawn_problem, picture = draw("train", 0)
    assert problem.id == drawn_problem.id
    with Picture.open(problem.images[0].path) as written:
        assert written.tobytes() == picture.tobytes()


def test_a_repeated_problem_gives_way_to_a_later_one_and_a_used_up_world_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    only = [draw("train", 0), draw("train", 12)]
    monkeypatch.setattr("visreason.world.problems.draw", lambda split, index, seed: only[index // 12 % 2])
    assert len(list(read_records(write(tmp_path, "train", 2), Problem))) == 2
    with pytest.raises(DataError, match="expected 3 different train problems, found 2"):
        write(tmp_path, "train", 3)


def test_drawing_is_fast_enough_for_training() -> None:
    start = time.process_time()
    for index in range(240):
        draw("train", index)
    assert 240 / (time.process_time() - start) > 300
