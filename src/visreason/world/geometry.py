"""Geometry: angles and lengths read from labels, then one to three steps of school geometry."""

from random import Random

from visreason.world import pen
from visreason.world.draft import Draft, Forms, add_up, asks_choice, asks_number, take_away
from visreason.world.figures import UNKNOWN, quadrilateral, rectangle, scene, triangle, two_rectangles

ANGLES = range(20, 100, 10)
SIDES = range(2, 10)
PRODUCTS = sorted({a * b for a in SIDES for b in SIDES})
WORDS = {"A": "top", "B": "left", "C": "right", "AB": "left", "AC": "right", "BC": "base"}
RECTANGLE_WORDS = {"AB": "top", "AD": "left"}


def third_angle(rng: Random, level: int) -> Draft:
    """A triangle's third angle from the other two, a number of degrees."""
    angles = _triangle_angles(rng)
    asked = rng.choice("ABC")
    known = {v: a for v, a in zip("ABC", angles, strict=True) if v != asked}
    if max(known.values()) > max(ANGLES):
        return third_angle(rng, level)
    answer = 180 - sum(known.values())
    labels = {v: known.get(v, UNKNOWN) for v in "ABC"}
    thought = f"{_read(known)} {take_away(180, list(known.values()))}"
    look = scene(rng, triangle(labels))
    return asks_number(
        rng, look, "How many degrees is the marked angle?", answer, thought, range(20, 111, 10)
    )


def triangle_perimeter(rng: Random, level: int) -> Draft:
    """A triangle's perimeter from its sides, a number."""
    sides = _triangle_sides(rng)
    thought = f"{_read(sides)} {add_up(list(sides.values()))}"
    look = scene(rng, triangle(sides))
    question = "What is the perimeter of the triangle?"
    return asks_number(rng, look, question, sum(sides.values()), thought, range(8, 26))


def side_sum(rng: Random, level: int) -> Draft:
    """Two sides of a rectangle together, a number."""
    width, height = rng.choice(SIDES), rng.choice(SIDES)
    thought = f"{_read_rectangle(width, height)} {add_up([width, height])}"
    look = scene(rng, rectangle({"AB": width, "AD": height}))
    question = "How long are the top side and the left side together?"
    return asks_number(rng, look, question, width + height, thought, range(4, 19))


def longest_length(rng: Random, level: int) -> Draft:
    """The length of a triangle's longest side, a number."""
    sides = _triangle_sides(rng)
    thought = f"{_read(sides)} the longest is {max(sides.values())}."
    question = "How long is the longest side?"
    return asks_number(rng, scene(rng, triangle(sides)), question, max(sides.values()), thought, range(4, 10))


def rectangle_perimeter(rng: Random, level: int) -> Draft:
    """A rectangle's perimeter from two sides, a number."""
    width, height = rng.choice(SIDES), rng.choice(SIDES)
    half = width + height
    thought = f"{_read_rectangle(width, height)} {add_up([width, height])} {add_up([half, half])}"
    look = scene(rng, rectangle({"AB": width, "AD": height}))
    question = "What is the perimeter of the rectangle?"
    return asks_number(rng, look, question, 2 * half, thought, range(8, 37, 2))


def longest_side(rng: Random, level: int) -> Draft:
    """A triangle's longest side, a choice of its places."""
    sides = _triangle_sides(rng)
    if sorted(sides.values())[1] == max(sides.values()):
        return longest_side(rng, level)
    longest = WORDS[max(sides, key=sides.__getitem__)]
    thought = f"{_read(sides)} the longest is {longest}."
    options = [WORDS[side] for side in sides]
    return asks_choice(
        rng, scene(rng, triangle(sides)), "Which side is the longest?", longest, thought, options
    )


def area(rng: Random, level: int) -> Draft:
    """A rectangle's area from two sides, a number."""
    width, height = rng.choice(SIDES), rng.choice(SIDES)
    thought = f"{_read_rectangle(width, height)} {width} * {height} = {width * height}."
    look = scene(rng, rectangle({"AB": width, "AD": height}))
    question = "What is the area of the rectangle?"
    return asks_number(rng, look, question, width * height, thought, PRODUCTS)


def apex_angle(rng: Random, level: int) -> Draft:
    """The angle between two equal sides from one at the base, a number of degrees."""
    base, side = rng.choice(ANGLES[:-1]), rng.choice(SIDES)
    given, other = rng.choice(("BC", "CB"))
    labels = {"A": UNKNOWN, given: base, "AB": side, "AC": side}
    equal = f"{WORDS[given]} {base}. sides {side} and {side} are equal, {WORDS[other]} {base}."
    thought = f"{equal} {take_away(180, [base, base])}"
    look = scene(rng, triangle(labels))
    question = "How many degrees is the marked angle?"
    return asks_number(rng, look, question, 180 - 2 * base, thought, range(10, 141, 10))


def base_angle(rng: Random, level: int) -> Draft:
    """An angle at the base of two equal sides from the one between them, a number of degrees."""
    apex, side = rng.choice(range(20, 100, 10)), rng.choice(SIDES)
    labels = {"A": apex, rng.choice("BC"): UNKNOWN, "AB": side, "AC": side}
    rest = 180 - apex
    thought = (
        f"top {apex}. sides {side} and {side} are equal. 180 - {apex} = {rest}. {rest} / 2 = {rest // 2}."
    )
    look = scene(rng, triangle(labels))
    return asks_number(
        rng, look, "How many degrees is the marked angle?", rest // 2, thought, range(45, 81, 5)
    )


def exterior_angle(rng: Random, level: int) -> Draft:
    """The angle outside a triangle from the two far inside, a number of degrees."""
    top, left = rng.choice(ANGLES), rng.choice(ANGLES)
    if top + left > 160:
        return exterior_angle(rng, level)
    thought = f"{_read({'A': top, 'B': left})} {add_up([top, left])}"
    look = scene(rng, triangle({"A": top, "B": left, "ACD": UNKNOWN}))
    question = "How many degrees is the marked angle?"
    return asks_number(rng, look, question, top + left, thought, range(40, 161, 10))


def missing_side(rng: Random, level: int) -> Draft:
    """A rectangle's side from its perimeter and the other side, a number."""
    sides = {"AB": rng.choice(SIDES), "AD": rng.choice(SIDES)}
    given, asked = rng.sample(tuple(sides), 2)
    half = sum(sides.values())
    steps = f"{2 * half} / 2 = {half}. {take_away(half, [sides[given]])}"
    look = scene(rng, rectangle({side: sides[side] if side == given else UNKNOWN for side in sides}))
    question = f"The perimeter is {2 * half}. How long is the marked side?"
    return asks_number(
        rng, look, question, sides[asked], f"{RECTANGLE_WORDS[given]} {sides[given]}. {steps}", SIDES
    )


def third_side(rng: Random, level: int) -> Draft:
    """A triangle's side from its perimeter and the other two, a number."""
    sides = _triangle_sides(rng)
    asked = rng.choice(tuple(sides))
    known = {side: length for side, length in sides.items() if side != asked}
    perimeter = sum(sides.values())
    thought = f"{_read(known)} {take_away(perimeter, list(known.values()))}"
    look = scene(rng, triangle(known | {asked: UNKNOWN}))
    question = f"The perimeter is {perimeter}. How long is the marked side?"
    return asks_number(rng, look, question, sides[asked], thought, SIDES)


def kind(rng: Random, level: int) -> Draft:
    """Whether a triangle is acute, right or obtuse, from two angles: a choice of the three."""
    wanted = rng.choice(("acute", "right", "obtuse"))
    while True:
        angles = _triangle_angles(rng)
        if max(angles[:2]) <= max(ANGLES) and _kind(angles) == wanted:
            break
    known = dict(zip("AB", angles[:2], strict=True))
    steps = take_away(180, angles[:2])
    thought = f"{_read(known)} {steps} the largest is {max(angles)}. the kind is {wanted}."
    look = scene(rng, triangle(known))
    return asks_choice(
        rng, look, "What kind of triangle do the angles make?", wanted, thought, ("acute", "right", "obtuse")
    )


def fourth_angle(rng: Random, level: int) -> Draft:
    """A quadrilateral's fourth angle from the other three, a number of degrees."""
    angles = [rng.choice(range(60, 100, 5)) for _ in range(3)]
    answer = 360 - sum(angles)
    if answer >= 175:
        return fourth_angle(rng, level)
    asked = rng.choice("ABCD")
    labels = dict(zip([v for v in "ABCD" if v != asked], angles, strict=True)) | {asked: UNKNOWN}
    thought = f"angles {', '.join(map(str, angles))}. {take_away(360, angles)}"
    look = scene(rng, quadrilateral(labels))
    return asks_number(rng, look, "How many degrees is the marked angle?", answer, thought, range(95, 161, 5))


def hole_area(rng: Random, level: int) -> Draft:
    """A rectangle's area without a square hole, a number."""
    width, height = rng.choice(SIDES[1:]), rng.choice(SIDES[1:])
    side = rng.choice(range(1, min(width, height, 6)))
    whole, hole = width * height, side * side
    steps = f"{width} * {height} = {whole}. {side} * {side} = {hole}. {take_away(whole, [hole])}"
    look = scene(rng, rectangle({"AB": width, "AD": height, "EF": side}, hole=True))
    thought = f"{_read_rectangle(width, height)[:-1]}, hole {side}. {steps}"
    question = "What is the area without the square hole?"
    return asks_number(rng, look, question, whole - hole, thought, range(11, 56))


def larger_area(rng: Random, level: int) -> Draft:
    """Which of two rectangles has the larger area, a choice of their colours or "same"."""
    wanted = rng.choice((0, 1, 2))
    while True:
        w1, h1, w2, h2 = (rng.choice(SIDES) for _ in range(4))
        areas = (w1 * h1, w2 * h2)
        same_pair = {w1, h1} == {w2, h2}
        if not same_pair and wanted == (2 if areas[0] == areas[1] else areas.index(max(areas))):
            break
    one, other = rng.sample(tuple(pen.COLORS), 2)
    options = (one, other, "same")
    work = f"{one} {w1} * {h1} = {areas[0]}. {other} {w2} * {h2} = {areas[1]}."
    thought = f"{work} {areas[0]} and {areas[1]}: {options[wanted]}."
    look = scene(rng, two_rectangles({"AB": w1, "AD": h1, "EF": w2, "EH": h2}, (one, other)))
    return asks_choice(rng, look, "Which rectangle has the larger area?", options[wanted], thought, options)


FORMS: Forms = {
    1: {
        "side_sum": side_sum,
        "exterior_angle": exterior_angle,
        "longest_length": longest_length,
        "longest_side": longest_side,
    },
    2: {
        "third_angle": third_angle,
        "triangle_perimeter": triangle_perimeter,
        "rectangle_perimeter": rectangle_perimeter,
        "area": area,
        "missing_side": missing_side,
        "third_side": third_side,
    },
    3: {
        "apex_angle": apex_angle,
        "kind": kind,
        "base_angle": base_angle,
        "fourth_angle": fourth_angle,
        "hole_area": hole_area,
        "larger_area": larger_area,
    },
}


def _triangle_angles(rng: Random) -> list[int]:
    """Three angles of a triangle in any order: multiples of 10, each at least 20 degrees."""
    one, other = rng.choice(ANGLES), rng.choice(ANGLES)
    third = 180 - one - other
    angles = [one, other, third]
    rng.shuffle(angles)
    return angles if third >= min(ANGLES) else _triangle_angles(rng)


def _triangle_sides(rng: Random) -> dict[str, int]:
    sides = {name: rng.choice(SIDES) for name in ("AB", "AC", "BC")}
    longest = max(sides.values())
    return sides if 2 * longest < sum(sides.values()) else _triangle_sides(rng)


def _kind(angles: list[int]) -> str:
    largest = max(angles)
    return "acute" if largest < 90 else "right" if largest == 90 else "obtuse"


def _read(measures: dict[str, int]) -> str:
    return ", ".join(f"{WORDS[name]} {size}" for name, size in measures.items()) + "."


def _read_rectangle(width: int, height: int) -> str:
    return f"top {width}, left {height}."
