import re

import numpy as np

from tests.world.conftest import Drawn
from tests.world.oracle import answer, said
from visreason.record import Problem
from visreason.world.pen import COLORS

Facts = dict[str, str]


def facts(problem: Problem) -> Facts:
    """Measures, colours and the thing looked for, by the letters of their vertices."""
    found = {}
    for form in (problem.description or "").splitlines():
        if m := re.fullmatch(r"Equals\((?:MeasureOf\(Angle|LengthOf\(Line)\(([A-Z,]+)\)\),(\d+)\)", form):
            found[m[1].replace(",", "")] = m[2]
        elif m := re.fullmatch(r"Find\((?:MeasureOf\(Angle|LengthOf\(Line)\(([A-Z,]+)\)\)\)", form):
            found["?"] = m[1].replace(",", "")
        elif m := re.fullmatch(r"Color\(\w+\(([A-Z,]+)\),(\w+)\)", form):
            found[f"color {m[1].replace(',', '')}"] = m[2]
        else:
            head = re.match(r"Triangle|Quadrilateral|Rectangle|Hole|Collinear", form)
            assert head, form
            found[head[0]] = form
    return found


def marked_angle(f: Facts) -> float:
    if "Quadrilateral" in f:
        return 360 - sum(int(f[v]) for v in "ABCD" if v != f["?"])
    angles = {v: float(f[v]) for v in "ABC" if v in f}
    if len(angles) == 1:
        assert f["AB"] == f["AC"], "one angle is enough in an isosceles triangle only"
        angles = isosceles(angles)
    third = next(v for v in "ABC" if v not in angles) if len(angles) == 2 else None
    if third:
        angles[third] = 180 - sum(angles.values())
    return 180 - angles["C"] if f["?"] == "ACD" else angles[f["?"]]


def isosceles(angles: dict[str, float]) -> dict[str, float]:
    """All angles of a triangle with AB = AC from one of them."""
    (vertex, size), *_ = angles.items()
    base = (180 - size) / 2 if vertex == "A" else size
    return {"A": 180 - 2 * base, "B": base, "C": base}


def marked_side(f: Facts, perimeter: str) -> int:
    known = sum(int(f[side]) for side in ("AB", "AC", "BC", "AD") if side in f)
    return int(perimeter) - known if "Triangle" in f else (int(perimeter) - 2 * known) // 2


def kind(f: Facts) -> str:
    angles = [int(f["A"]), int(f["B"])]
    largest = max(*angles, 180 - sum(angles))
    return "obtuse" if largest > 90 else "right" if largest == 90 else "acute"


def larger(f: Facts) -> str:
    one, other = int(f["AB"]) * int(f["AD"]), int(f["EF"]) * int(f["EH"])
    return f["color ABCD"] if one > other else f["color EFGH"] if other > one else "same"


def longest(f: Facts) -> str:
    length, side = max((int(f[s]), s) for s in ("AB", "AC", "BC"))
    assert [int(f[s]) for s in ("AB", "AC", "BC")].count(length) == 1
    return {"AB": "left", "AC": "right", "BC": "base"}[side]


RULES = {
    r"How many degrees is the marked angle\?": lambda f: f"{marked_angle(f):g}",
    r"How long are the top side and the left side together\?": lambda f: int(f["AB"]) + int(f["AD"]),
    r"How long is the longest side\?": lambda f: max(int(f[s]) for s in ("AB", "AC", "BC")),
    r"What is the perimeter of the triangle\?": lambda f: int(f["AB"]) + int(f["AC"]) + int(f["BC"]),
    r"What is the perimeter of the rectangle\?": lambda f: 2 * int(f["AB"]) + 2 * int(f["AD"]),
    r"What is the area of the rectangle\?": lambda f: int(f["AB"]) * int(f["AD"]),
    r"What is the area without the square hole\?": lambda f: int(f["AB"]) * int(f["AD"]) - int(f["EF"]) ** 2,
    r"The perimeter is (\d+)\. How long is the marked side\?": marked_side,
    r"Which side is the longest\?": longest,
    r"What kind of triangle do the angles make\?": kind,
    r"Which rectangle has the larger area\?": larger,
}


def test_answers_follow_from_the_description(by_family: dict[str, Drawn]) -> None:
    for problem, _ in by_family["geometry"]:
        assert said(problem) == answer(problem.question, facts(problem), RULES), problem


def test_figures_can_exist(by_family: dict[str, Drawn]) -> None:
    for problem, _ in by_family["geometry"]:
        f = facts(problem)
        if all(side in f for side in ("AB", "AC", "BC")):
            sides = sorted(int(f[s]) for s in ("AB", "AC", "BC"))
            assert sides[0] + sides[1] > sides[2]
        if "Triangle" in f:
            assert sum(int(f[v]) for v in "ABC" if v in f) < 180
        if "Hole" in f:
            assert int(f["EF"]) < min(int(f["AB"]), int(f["AD"]))


def test_the_thought_reads_every_label_before_it_computes(by_family: dict[str, Drawn]) -> None:
    for problem, _ in by_family["geometry"]:
        labels = [v for k, v in facts(problem).items() if k.isupper()]
        thought = problem.thought or ""
        assert set(labels) <= set(re.findall(r"\d+", thought)), problem


def test_pictures_differ_where_descriptions_do_and_else_only_in_ink(by_family: dict[str, Drawn]) -> None:
    looks: dict[str, set[bytes]] = {}
    for problem, picture in by_family["geometry"]:
        if "Color" not in (problem.description or ""):
            ink = (np.asarray(picture) < 250).any(-1)
            looks.setdefault(problem.description or "", set()).add(ink.tobytes())
    assert all(len(masks) == 1 for masks in looks.values())
    masks = [next(iter(m)) for m in looks.values()]
    assert len(set(masks)) == len(masks)


def test_every_colour_a_question_needs_is_in_the_picture(by_family: dict[str, Drawn]) -> None:
    for problem, picture in by_family["geometry"]:
        needed = [COLORS[v] for k, v in facts(problem).items() if k.startswith("color ")]
        assert all((np.asarray(picture) == rgb).all(-1).any() for rgb in needed)


def test_larger_and_same_areas_come_about_equally_often(by_family: dict[str, Drawn]) -> None:
    problems = [p for p, _ in by_family["geometry"] if p.meta["form"] == "larger_area"]
    same = sum(larger(facts(p)) == "same" for p in problems)
    assert 0.2 < same / len(problems) < 0.47
