"""Whether two trees mean the same: lists, sets, matrices and relations part by part, the rest by `expression`."""

from collections.abc import Sequence
from itertools import pairwise

from visreason.answer.arithmetic import NoNumber, Number
from visreason.answer.budget import spend
from visreason.answer.compute import number, symbols
from visreason.answer.expression import MAX_SYMBOLS, holds, near, points, same_expression
from visreason.answer.tree import Tree, ungrouped

MAX_PARTS = 40
STEPS = 5
"""What a comparison costs at least."""
SWAPPED = {">": "<", ">=": "<="}


def same(gold: Tree, answer: Tree) -> bool:
    """Whether two trees are equal as answers: sets and bare lists in any order, tuples and intervals in order."""
    spend(STEPS)
    if gold == answer:
        return True
    gold, answer = (ungrouped(tree) for tree in _unassigned(gold, answer))
    gold, answer = _signed(gold), _signed(answer)
    kinds = {gold[0], answer[0]}
    if kinds <= {"list", "set"}:
        return _same_lists(gold, answer)
    if "rel" in kinds:
        return _same_relations(gold, answer)
    if kinds == {"matrix"}:
        return len(gold) == len(answer) and all(map(_same_rows, gold[1:], answer[1:]))
    if kinds & {"cup", "cap", "setminus"}:
        return gold[0] == answer[0] and _same_sets(gold, answer)
    if kinds & {"list", "set", "matrix", "row", "pm"}:
        return _same_shape(gold, answer)
    return same_expression(gold, answer)


def _unassigned(gold: Tree, answer: Tree) -> tuple[Tree, Tree]:
    """`x = v` against `v` without the name; `x \\in S` always."""

    def value(tree: Tree) -> Tree:
        named = tree[0] == "rel" and len(tree) == 4 and tree[1] in ("=", "in")
        return tree[3] if named and (tree[1] == "in" or _is_name(tree[2])) else tree

    if gold[:2] == answer[:2] == ("rel", "="):
        return gold, answer
    return value(gold), value(answer)


def _signed(tree: Tree) -> Tree:
    """An expression with a plus-minus as the list of its two values."""
    if tree[0] in ("list", "set", "rel", "matrix") or not holds(tree, ("pm",)):
        return tree
    return ("list", "", _with_sign(tree, True), _with_sign(tree, False))


def _with_sign(tree: Tree, plus: bool) -> Tree:
    found = tuple(_with_sign(part, plus) if isinstance(part, tuple) else part for part in tree)
    return ("+", found[1], found[2] if plus else ("-", found[2])) if tree[0] == "pm" else found


def _is_name(tree: Tree) -> bool:
    """x, f(x) or such, which parses as a product of symbols."""
    return tree[0] == "sym" or (tree[0] == "*" and tree[1][0] == "sym" and tree[2][0] in ("sym", "list"))


def _same_lists(gold: Tree, answer: Tree) -> bool:
    gold_brackets, gold_parts = _parts(gold)
    brackets, parts = _parts(answer)
    if len(gold_parts) != len(parts) or len(parts) > MAX_PARTS or gold_brackets != brackets:
        return False
    if not brackets:
        return _unordered(gold_parts, parts)
    return all(map(same, gold_parts, parts))


def _parts(tree: Tree) -> tuple[str, Sequence[Tree]]:
    brackets, parts = ("", tree[1:]) if tree[0] == "set" else (tree[1], tree[2:])
    if brackets:
        return brackets, parts
    signed = [_signed(part) for part in parts]
    return "", [t for s in signed for t in (s[2:] if s[:2] == ("list", "") and len(s) == 4 else (s,))]


def _unordered(gold_parts: Sequence[Tree], parts: Sequence[Tree]) -> bool:
    """Whether the parts pair off, in any order."""
    left = list(parts)
    for g in gold_parts:
        found = next((i for i, a in enumerate(left) if same(g, a)), None)
        if found is None:
            return False
        del left[found]
    return not left


def _same_rows(gold: Tree, answer: Tree) -> bool:
    return len(gold) == len(answer) and all(map(same, gold[1:], answer[1:]))


def _same_sets(gold: Tree, answer: Tree) -> bool:
    if gold[0] == "setminus":
        return same(gold[1], answer[1]) and same(gold[2], answer[2])
    return _unordered(_members(gold, gold[0]), _members(answer, answer[0]))


def _members(tree: Tree, kind: str) -> list[Tree]:
    return [*_members(tree[1], kind), *_members(tree[2], kind)] if tree[0] == kind else [tree]


def _same_shape(gold: Tree, answer: Tree) -> bool:
    """Operators over lists, sets and matrices: the same operator over the same parts."""
    if gold[0] != answer[0] or len(gold) != len(answer):
        return _matrices(gold, answer)
    pairs = list(zip(gold[1:], answer[1:], strict=True))
    return all(same(g, a) if isinstance(g, tuple) and isinstance(a, tuple) else g == a for g, a in pairs)


def _matrices(gold: Tree, answer: Tree) -> bool:
    """A column or row matrix against the list of its cells, and sums of matrices against the matrix."""
    gold, answer = _summed(gold), _summed(answer)
    if gold[0] == answer[0] == "matrix":
        return same(gold, answer)
    matrix, other = (gold, answer) if gold[0] == "matrix" else (answer, gold)
    if matrix[0] != "matrix" or other[0] != "list":
        return False
    if all(row[:2] == ("list", "[]") for row in other[2:]):  # [[1, 2], [3, 4]]
        other = ("matrix", *(("row", *row[2:]) for row in other[2:]))
        return same(gold, other) if gold is matrix else same(other, answer)
    cells = [cell for row in matrix[1:] for cell in row[1:]]
    flat = len(matrix) == 2 or all(len(row) == 2 for row in matrix[1:])
    return flat and len(cells) == len(other) - 2 and all(map(same, cells, other[2:]))


def _summed(tree: Tree) -> Tree:
    """The sum of two matrices as a matrix."""
    if tree[0] != "+":
        return tree
    left, right = _summed(tree[1]), _summed(tree[2])
    if (
        left[0] != "matrix"
        or right[0] != "matrix"
        or [len(r) for r in left[1:]] != [len(r) for r in right[1:]]
    ):
        return tree
    rows = zip(left[1:], right[1:], strict=True)
    return ("matrix", *(("row", *(("+", a, b) for a, b in zip(x[1:], y[1:], strict=True))) for x, y in rows))


def _same_relations(gold: Tree, answer: Tree) -> bool:
    gold, answer = _ascending(gold), _ascending(answer)
    if gold[0] != answer[0]:
        gold, answer = _as_interval(gold), _as_interval(answer)
        return gold[0] == answer[0] == "list" and _same_lists(gold, answer)
    if len(gold) != len(answer) or gold[1] != answer[1]:
        return False
    if len(gold) == 4 and gold[1] != "in":
        return _same_equations(gold, answer)
    pairs = zip(gold[1:], answer[1:], strict=True)
    return all(same(g, a) if isinstance(g, tuple) else g == a for g, a in pairs)


def _ascending(tree: Tree) -> Tree:
    """A chain of > read backwards as one of <."""
    if tree[0] != "rel" or tree[1] not in SWAPPED:
        return tree
    chain = [tree[2], tree[1], *tree[3:]][::-1]
    chain = [SWAPPED.get(part, part) if isinstance(part, str) else part for part in chain]
    return ("rel", chain[1], chain[0], *chain[2:])


def _as_interval(tree: Tree) -> Tree:
    """`x < b`, `a <= x` or `a <= x < b` as an interval; anything else as it is."""
    if tree[0] != "rel":
        return tree
    chain = [tree[2], tree[1], *tree[3:]]
    signs, sides = chain[1::2], chain[::2]
    if any(s not in ("<", "<=") for s in signs):
        return tree
    infinity: Tree = ("const", "infty")
    if len(sides) == 2:
        below = _is_name(sides[0])
        sides = [("-", infinity), *sides] if below else [*sides, infinity]
        signs = ["<", *signs] if below else [*signs, "<"]
    if len(sides) != 3 or not _is_name(sides[1]):
        return tree
    return (
        "list",
        ("[" if signs[0] == "<=" else "(") + ("]" if signs[1] == "<=" else ")"),
        sides[0],
        sides[2],
    )


def _same_equations(gold: Tree, answer: Tree) -> bool:
    """Two equations (inequalities) whose differences of sides are a constant (positive) multiple of each other."""
    if same(gold[2], answer[2]) and same(gold[3], answer[3]):
        return True
    names = sorted(symbols(gold) | symbols(answer))
    ratios: list[Number] = []
    for values, _ in points(names)[:4] if 0 < len(names) <= MAX_SYMBOLS else []:
        try:
            x, y = (number(("+", t[2], ("-", t[3])), values) for t in (gold, answer))
            ratios.append(x / y)
        except (NoNumber, ZeroDivisionError, OverflowError):
            return False
    if len(ratios) < 3 or not all(near(a, b) for a, b in pairwise(ratios)) or abs(ratios[0]) < 1e-12:
        return False
    return gold[1] in ("=", "!=") or (not isinstance(ratios[0], complex) and ratios[0] > 0)
