"""The grammar of mathematics as it is written: operators, brackets, numbers, by recursive descent over tokens."""

import re
from fractions import Fraction
from typing import Any

from visreason.answer import commands
from visreason.answer.cursor import Cursor
from visreason.answer.tokens import (
    BRACKETS,
    CLOSERS,
    FUNCTIONS,
    MODULO,
    OVER,
    RELATIONS,
    SET_SIGNS,
    TIMES,
    NotMaths,
    tokens,
)  # fmt: skip
from visreason.answer.tree import Tree, ungrouped

SIGNS = ("+", "-", "\\pm", "\\mp", "±", "∓")
NO_OPERAND = (*SIGNS, "^", "_", "!", "%", "'", "**")
MAX_DEPTH = 24


class Reader(Cursor):
    """Recursive descent over tokens; `bars` counts the open |."""

    def __init__(self, tokens: list[str], python: bool) -> None:
        super().__init__(tokens)
        self.python, self.bars = python, 0

    def items(self, depth: int) -> Tree:
        """Relations separated by commas or semicolons; one alone stands for itself."""
        found = [self.relation(depth)]
        while self.peek() in (",", ";"):
            self.take()
            if self.peek() in CLOSERS:
                break
            found.append(self.relation(depth))
        return found[0] if len(found) == 1 else ("list", "", *found)

    def relation(self, depth: int) -> Tree:
        """A chain of =, <, \\in and such: `a < b < c` is ("rel", "<", a, b, "<", c)."""
        if depth > MAX_DEPTH:
            raise NotMaths
        chain: list[Any] = [self.union(depth)]
        while (sign := RELATIONS.get(self.peek())) is not None:
            self.take()
            chain += [sign, self.union(depth)]
        return chain[0] if len(chain) == 1 else ("rel", chain[1], chain[0], *chain[2:])

    def union(self, depth: int) -> Tree:
        left = self.sum(depth)
        while (sign := SET_SIGNS.get(self.peek())) is not None:
            self.take()
            left = (sign, left, self.sum(depth))
        return left

    def sum(self, depth: int) -> Tree:
        left = self.product(depth)
        while (sign := self.peek()) in SIGNS:
            self.take()
            right = self.product(depth)
            left = {"+": ("+", left, right), "-": ("+", left, ("-", right))}.get(sign) or ("pm", left, right)
        return left

    def product(self, depth: int) -> Tree:
        left = self.unary(depth)
        while True:
            token = self.peek()
            if token in TIMES:
                self.take()
                left = ("*", left, self.unary(depth))
            elif token in OVER or (token == ":" and depth == 0 and self.tokens.count(":") == 1):
                self.take()
                left = ("/", left, self.unary(depth))
            elif token in MODULO:
                self.take()
                left = ("call", "mod", left, self.factors(self.unary(depth), depth))
            elif self.starts_operand(token):
                left = self.factors(left, depth)
            else:
                return _plain_fraction(left)

    def factors(self, left: Tree, depth: int) -> Tree:
        """A product without a sign between its factors; a whole number and a fraction are a mixed number."""
        while self.starts_operand(self.peek()):
            right = self.power(depth)
            sign = "+" if _mixed(left, right) else "*"
            left = (sign, ungrouped(left), _plain_fraction(ungrouped(right)))
        return left

    def starts_operand(self, token: str) -> bool:
        if token in CLOSERS or token in RELATIONS or token in SET_SIGNS:
            return False
        if token == "|":
            return self.bars == 0
        if token in TIMES or token in OVER or token in MODULO:
            return False
        return token not in NO_OPERAND and not token.startswith(("\\rfl", "\\rce", "\\rbr", "\\end"))

    def unary(self, depth: int) -> Tree:
        sign = self.peek()
        if sign not in SIGNS:
            return _plain_fraction(self.power(depth))
        if depth > MAX_DEPTH:
            raise NotMaths
        self.take()
        operand = self.unary(depth + 1)
        operand = self.factors(operand, depth) if sign in ("+", "-") else operand
        return {"+": operand, "-": ("-", operand)}.get(sign) or ("pm", ("num", Fraction(0)), operand)

    def power(self, depth: int) -> Tree:
        base = self.postfix(self.atom(depth))
        if self.peek() not in ("^", "**"):
            return base
        self.take()
        if self.accept("\\prime"):
            return base
        exponent = self.exponent(depth + 1)
        if base[0] == "sym":  # x^2_1 is the square of x_1
            base = ("sym", base[1] + self.subscript())
        return self.postfix(("^", _plain_fraction(base), exponent))

    def exponent(self, depth: int) -> Tree:
        if depth > MAX_DEPTH:
            raise NotMaths
        if self.peek() in ("+", "-"):
            sign = self.take()
            operand = self.exponent(depth + 1)
            return ("-", operand) if sign == "-" else operand
        return _plain_fraction(self.power(depth))

    def postfix(self, tree: Tree) -> Tree:
        while self.peek() in ("!", "%", "'"):
            mark = self.take()
            if mark == "!":
                tree = ("call", "factorial", tree)
            elif mark == "%":
                tree = ("/", tree, ("num", Fraction(100)))
        return tree

    def atom(self, depth: int) -> Tree:
        if depth > MAX_DEPTH:
            raise NotMaths
        token = self.take()
        if token[0].isdigit() or token[0] == ".":
            return commands.read_number(self, token)
        if token in BRACKETS:
            return self.bracket(token, depth + 1)
        if token == "|":
            self.bars, outer = 1, self.bars
            inner = self.items(depth + 1)
            self.expect("|")
            self.bars = outer
            return ("call", "abs", inner)
        if token[0] == "\\":
            return commands.read_command(self, token[1:], depth + 1)
        if token in ("∅", "ø"):
            return ("set",)
        if token.isalpha():
            return commands.read_name(self, token, depth + 1)
        raise NotMaths

    def bracket(self, opening: str, depth: int) -> Tree:
        bars, self.bars = self.bars, 0
        closing = BRACKETS[opening]
        if self.accept(closing):
            self.bars = bars
            return ("set",) if opening in ("\\{", "{") else ("list", opening + closing)
        inner = self.items(depth)
        found = self.take()
        self.bars = bars
        if opening in ("(", "[") and found in (")", "]"):
            if inner[:2] == ("list", ""):
                return ("list", opening + found, *inner[2:])
            if opening + found == "[]":
                return ("list", "[]", inner) if self.python else inner
        elif found != closing:
            raise NotMaths
        if (
            opening == "\\{"
            or (opening == "{" and self.python)
            or (opening == "{" and inner[:2] == ("list", ""))
        ):
            return ("set", *(inner[2:] if inner[:2] == ("list", "") else (inner,)))
        if opening == "\\lfloor":
            return ("call", "floor", inner)
        return ("call", "ceil", inner) if opening == "\\lceil" else inner

    def group(self, depth: int) -> Tree:
        """The operand of a command: {...} or one token."""
        if depth > MAX_DEPTH:
            raise NotMaths
        if self.peek() == "{":
            self.take()
            inner = self.items(depth + 1)
            self.expect("}")
            return inner
        token = self.peek()
        if token.isdigit() and len(token) > 1:  # \frac12 reads digit by digit
            self.tokens[self.at : self.at + 1] = list(token)
        return self.atom(depth + 1)

    def arguments(self, depth: int) -> tuple[Tree, ...]:
        if depth > MAX_DEPTH:
            raise NotMaths
        if self.peek() in ("(", "{", "[", "\\{"):
            opening = self.take()
            bars, self.bars = self.bars, 0
            inner = self.items(depth + 1)
            self.expect(BRACKETS[opening])
            self.bars = bars
            return inner[2:] if inner[:2] == ("list", "") else (inner,)
        argument = self.unary(depth + 1)
        while self.starts_operand(self.peek()) and self.peek().removeprefix("\\") not in FUNCTIONS:
            if self.peek() in ("(", "["):
                break
            argument = ("*", argument, _plain_fraction(self.power(depth + 1)))
        return (argument,)

    def subscript(self) -> str:
        """The rest of a symbol's name: `_1` of x_1 and x_{1}."""
        return re.sub(r"[\s\\{}]", "", self.take()) if self.peek().startswith("_") else ""

    def inner(self, text: str) -> Tree:
        """The tree of a text within this one, as of a bound."""
        return self.apart(tokens(text.strip("{}"), self.python), 0)

    def apart(self, tokens: list[str], depth: int) -> Tree:
        """The tree of tokens that are read by themselves."""
        reader = Reader(tokens, self.python)
        tree = reader.items(depth)
        reader.end()
        return tree


def _plain_fraction(tree: Tree) -> Tree:
    """\\frac is told apart from / only where it may follow a whole number, as in 1\\frac{1}{2}."""
    return ("/", *tree[1:]) if tree[0] == "frac" else tree


def _mixed(left: Tree, right: Tree) -> bool:
    """Whether a whole number and a fraction behind it are a mixed number."""
    parts = (left, *right[1:]) if right[0] == "frac" else ()
    whole = bool(parts) and all(p[0] == "num" and p[1].denominator == 1 for p in parts)
    return whole and right[1][1] < right[2][1]
