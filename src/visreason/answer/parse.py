r"""Reading mathematics, LaTeX or plain, as a tree of tuples. Nothing is evaluated; size and nesting are bounded.

A tree is (operator, *operands): ("num", Fraction), ("sym", name), ("const", "pi"), ("+", a, b), ("*", a, b),
("/", a, b), ("^", a, b), ("-", a), ("pm", a, b), ("call", name, ...), ("list", brackets, ...), ("set", ...),
("matrix", row, ...), ("rel", sign, left, right), ("cup" or "cap" or "setminus", a, b),
("integral" or "sum" or "prod", body, name, low, high), ("lim", body, name, point).
"""

import re
from fractions import Fraction
from functools import lru_cache
from typing import Any

from visreason.answer.tokens import (
    ACCENTS,
    ALIASES,
    BRACKETS,
    CLOSERS,
    CONSTANTS,
    FUNCTIONS,
    GREEK,
    INTERVALS,
    INVERTIBLE,
    MODULO,
    NUMBERS,
    OVER,
    PYTHON_INTERVAL,
    RELATIONS,
    SET_SIGNS,
    SIDE,
    TIMES,
    NotMaths,
    tokens,
)

READ_CHARS, MAX_DEPTH, MAX_DIGITS, MAX_PLACES = 1_000, 24, 400, 50
Tree = tuple[Any, ...]


@lru_cache(maxsize=4096)
def parse(text: str, python: bool = False) -> Tree | None:
    r"""The tree of a text as `normalize.spell` writes it, or None.

    With `python` words are names and calls, as in the output of a program.

    >>> parse(r"\frac{1}{2}x")
    ('*', ('/', ('num', Fraction(1, 1)), ('num', Fraction(2, 1))), ('sym', 'x'))
    >>> parse("(1, 2]"), parse("a house")
    (('list', '(]', ('num', Fraction(1, 1)), ('num', Fraction(2, 1))), None)
    """
    if not text or len(text) > READ_CHARS:
        return None
    try:
        text = SIDE.sub("", text) if "lim" in text or python else text
        if python:
            text = PYTHON_INTERVAL.sub(r"Interval\1", text)
        reader = _Reader(tokens(text, python), python)
        tree = reader.items(0)
        reader.end()
        return tree
    except (NotMaths, ZeroDivisionError, ValueError):
        return None


class _Reader:
    """Recursive descent over tokens; `at` is the next one, `bars` counts the open |."""

    def __init__(self, tokens: list[str], python: bool) -> None:
        self.tokens, self.python, self.at, self.bars = tokens, python, 0, 0

    def peek(self) -> str:
        return self.tokens[self.at] if self.at < len(self.tokens) else ""

    def take(self) -> str:
        if self.at >= len(self.tokens):
            raise NotMaths
        self.at += 1
        return self.tokens[self.at - 1]

    def expect(self, token: str) -> None:
        if self.take() != token:
            raise NotMaths

    def accept(self, token: str) -> bool:
        if self.peek() != token:
            return False
        self.at += 1
        return True

    def end(self) -> None:
        if self.at != len(self.tokens):
            raise NotMaths

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
        while (sign := self.peek()) in ("+", "-", "\\pm", "\\mp", "±", "∓"):
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
                left = ("call", "mod", left, self.unary(depth))
            elif self.starts_operand(token):
                right = self.power(depth)
                left = ("+" if _mixed(left, right) else "*", left, _plain_fraction(right))
            else:
                return _plain_fraction(left)

    def starts_operand(self, token: str) -> bool:
        if token in CLOSERS or token in RELATIONS or token in SET_SIGNS:
            return False
        if token == "|":
            return self.bars == 0
        if token in TIMES or token in OVER or token in MODULO:
            return False
        return token not in (
            "+",
            "-",
            "\\pm",
            "\\mp",
            "±",
            "∓",
            "^",
            "_",
            "!",
            "%",
            "'",
            "**",
        ) and not token.startswith(("\\rfl", "\\rce", "\\rbr", "\\end"))

    def unary(self, depth: int) -> Tree:
        sign = self.peek()
        if sign not in ("+", "-", "\\pm", "\\mp", "±", "∓"):
            return _plain_fraction(self.power(depth))
        if depth > MAX_DEPTH:
            raise NotMaths
        self.take()
        operand = self.unary(depth + 1)
        while self.starts_operand(self.peek()) and sign in ("+", "-"):
            right = self.power(depth)
            operand = ("+" if _mixed(operand, right) else "*", operand, _plain_fraction(right))
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
            return self.number(token)
        if token in BRACKETS:
            return self.bracket(token, depth + 1)
        if token == "|":
            self.bars, outer = 1, self.bars
            inner = self.items(depth + 1)
            self.expect("|")
            self.bars = outer
            return ("call", "abs", inner)
        if token[0] == "\\":
            return self.command(token[1:], depth + 1)
        if token in ("∅", "ø"):
            return ("set",)
        if token.isalpha():
            return self.name(token, depth + 1)
        raise NotMaths

    def number(self, token: str) -> Tree:
        if (
            len(token) > MAX_DIGITS
            or len(token.partition(".")[2]) > MAX_PLACES
            or (len(re.split("[eE][+-]?", token)[-1]) > 3 and "e" in token.lower())
        ):
            raise NotMaths
        if self.peek() == "\\overline" and "." in token:
            self.take()
            self.expect("{")
            digits = self.take()
            self.expect("}")
            return ("num", _repeating(token, digits))
        return ("num", Fraction(token))

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

    def command(self, name: str, depth: int) -> Tree:
        if name in ("frac", "dfrac", "tfrac", "cfrac"):
            return ("frac", self.group(depth), self.group(depth))
        if name == "sqrt":
            return self.root(depth)
        if name in ("binom", "dbinom", "tbinom"):
            return ("call", "binomial", self.group(depth), self.group(depth))
        if name in ("int", "iint", "oint"):
            return self.integral(depth)
        if name in ("sum", "prod"):
            return self.series(name, depth)
        if name == "lim":
            return self.limit(depth)
        if name.startswith("begin"):
            return self.matrix(name[5:].strip(" {}"), depth)
        if name in ("emptyset", "varnothing"):
            return ("set",)
        if name in ("operatorname", "mathrm", "mathop", "mathbf", "mathit", "rm", "variable"):
            return self.named(depth)
        if name in ACCENTS:
            return self.accented(name, depth)
        if name == "mathbb":
            return ("sym", NUMBERS.get(str(self.group(depth)[1]), "mathbb"))
        if name in CONSTANTS:
            return ("const", CONSTANTS[name])
        return self.name(name, depth, command=True)

    def accented(self, name: str, depth: int) -> Tree:
        inner = self.group(depth)
        return ("sym", f"{ACCENTS[name]}{{{inner[1]}}}{self.subscript()}") if inner[0] == "sym" else inner

    def name(self, name: str, depth: int, command: bool = False) -> Tree:
        """A function with its argument, a constant or a symbol with its subscript."""
        if name in ("e", "E") and (name == "e" or self.python):
            return ("const", "e")
        if (name == "I" and not self.peek().startswith("_")) or (name == "i" and not self.python):
            return ("const", "i")
        if self.python and name in CONSTANTS:
            return ("const", CONSTANTS[name])
        if self.python and name == "EmptySet":
            return ("set",)
        function = ALIASES.get(name, name)
        if (
            (command or self.python)
            and function.lower() in FUNCTIONS
            and (not self.python or self.peek() == "(")
        ):
            return self.call(function.lower(), depth)
        if self.python and name in ACCENTS and self.peek() == "{":
            return self.accented(name, depth)
        if self.python and self.peek() == "(":
            return self.constructor(name, depth)
        if command and name not in GREEK and name not in ("partial", "nabla", "angle", "triangle"):
            raise NotMaths
        return ("sym", name + self.subscript())

    def named(self, depth: int) -> Tree:
        self.expect("{")
        words = []
        while self.peek() not in ("}", ""):
            words.append(self.take().removeprefix("\\"))
        self.expect("}")
        word = "".join(words)
        if word in FUNCTIONS or word in ALIASES:
            return self.call(ALIASES.get(word, word), depth)
        return ("sym", word + self.subscript())

    def subscript(self) -> str:
        """The rest of a symbol's name: `_1` of x_1 and x_{1}."""
        return re.sub(r"[\s\\{}]", "", self.take()) if self.peek().startswith("_") else ""

    def call(self, function: str, depth: int) -> Tree:
        """A function's argument: (...), {...}, or the product that follows, as in \\sin 2x; \\sin^2 x is its power."""
        if function == "sqrt" and self.peek() in ("(", "{"):
            arguments = self.arguments(depth)
            return ("call", "sqrt", *arguments)
        base = exponent = None
        while self.peek() == "^" or self.peek().startswith("_"):
            if self.accept("^"):
                exponent = self.group(depth) if self.peek() != "-" else self.exponent(depth)
            else:
                base = self.inner(self.take()[1:])
        arguments = self.arguments(depth)
        if function == "log" and base is not None:
            arguments = (*arguments, base)
        if function == "log" and self.python and len(arguments) == 1:
            function = "ln"
        if function == "lg":
            function, arguments = "log", (*arguments, ("num", Fraction(10)))
        if exponent == ("-", ("num", Fraction(1))) and function in INVERTIBLE:
            return ("call", f"arc{function}", *arguments)
        tree = ("call", function, *arguments)
        return tree if exponent is None else ("^", tree, exponent)

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

    def root(self, depth: int) -> Tree:
        if self.accept("["):
            index = self.items(depth)
            self.expect("]")
            return ("call", "root", self.group(depth), index)
        return ("call", "sqrt", self.group(depth))

    def bounds(self, depth: int) -> tuple[Tree | None, Tree | None]:
        low = high = None
        while self.peek() == "^" or self.peek().startswith("_"):
            if self.accept("^"):
                empty = self.tokens[self.at : self.at + 2] == ["{", "}"]
                self.at += 2 if empty else 0
                high = None if empty else self.group(depth) if self.peek() == "{" else self.inner(self.take())
            elif text := self.take()[1:].strip():
                low = self.inner(text)
        return low, high

    def inner(self, text: str) -> Tree:
        """The tree of a text within this one."""
        tree = parse(text.strip("{}"), self.python)
        if tree is None:
            raise NotMaths
        return tree

    def integral(self, depth: int) -> Tree:
        low, high = self.bounds(depth)
        marks = (i for i in range(self.at, len(self.tokens) - 1) if self._is_differential(i))
        at = next(marks, None)
        if at is None:
            raise NotMaths
        variable = self.tokens[at + 1].removeprefix("\\")
        before = self.tokens[self.at : at]
        nested = sum(token in BRACKETS for token in before) > sum(
            token in BRACKETS.values() for token in before
        )
        while before and before[-1] in TIMES:
            before.pop()
        if nested:  # \frac{3 dx}{x}: the differential stands in a numerator
            rest = self.tokens[at + 2 :]
            self.tokens = [
                *self.tokens[: self.at],
                *before,
                *(["1"] if before[-1] in BRACKETS else []),
                *rest,
            ]
            return ("integral", self.product(depth), variable, low, high)
        body = _Reader(before or ["1"], self.python)
        tree = body.sum(depth)
        body.end()
        self.at = at + 2
        return ("integral", tree, variable, low, high)

    def _is_differential(self, i: int) -> bool:
        return self.tokens[i] == "d" and self.tokens[i + 1].removeprefix("\\").isalpha()

    def series(self, name: str, depth: int) -> Tree:
        low, high = self.bounds(depth)
        if low is None or low[:2] != ("rel", "=") or low[2][0] not in ("sym", "const"):
            raise NotMaths
        return (name, self.product(depth), low[2][1], low[3], high)

    def limit(self, depth: int) -> Tree:
        low, _ = self.bounds(depth)
        if low is None or low[:2] != ("rel", "->"):
            raise NotMaths
        return ("lim", self.product(depth), low[2][1], low[3])

    def matrix(self, kind: str, depth: int) -> Tree:
        if kind == "array" and self.accept("{"):
            self.until("}")
        rows: list[Tree] = [("row", *self.cells(depth))]
        while self.accept("\\\\"):
            if not self.peek().startswith("\\end"):
                rows.append(("row", *self.cells(depth)))
        if not self.take().startswith("\\end"):
            raise NotMaths
        tree = ("matrix", *rows)
        return ("call", "det", tree) if kind == "vmatrix" else tree

    def cells(self, depth: int) -> list[Tree]:
        found = [self.items(depth)]
        while self.accept("&"):
            found.append(self.items(depth))
        return found

    def until(self, closing: str) -> list[str]:
        found = []
        while (token := self.take()) != closing:
            found.append(token)
        return found

    def constructor(self, name: str, depth: int) -> Tree:
        """A call in the output of a program: Eq(x, 1), Interval(0, 1), Matrix([[1]]), Integral(x, (x, 0, 1))."""
        arguments = self.arguments(depth)
        if name in ("Eq", "Equality", "Ne", "Lt", "Le", "Gt", "Ge") and len(arguments) == 2:
            sign = {"Ne": "!=", "Lt": "<", "Le": "<=", "Gt": ">", "Ge": ">="}.get(name, "=")
            return ("rel", sign, *arguments)
        if name in ("Union", "Intersection", "Complement") and len(arguments) >= 2:
            sign = {"Union": "cup", "Intersection": "cap", "Complement": "setminus"}[name]
            tree = arguments[0]
            for argument in arguments[1:]:
                tree = (sign, tree, argument)
            return tree
        if name in INTERVALS:
            return ("list", INTERVALS[name], *arguments[:2])
        if name in ("FiniteSet", "set"):
            return ("set", *arguments)
        if name in ("Matrix", "ImmutableMatrix"):
            rows = arguments[0][2:] if arguments and arguments[0][:1] == ("list",) else ()
            return ("matrix", *(("row", *(row[2:] if row[:1] == ("list",) else (row,))) for row in rows))
        if name in ("Integral", "Sum", "Product") and len(arguments) == 2:
            kind = {"Integral": "integral", "Sum": "sum", "Product": "prod"}[name]
            limits = arguments[1][2:] if arguments[1][0] == "list" else (arguments[1],)
            low, high = limits[1:3] if len(limits) == 3 else (None, None)
            return (kind, arguments[0], limits[0][1], low, high)
        if name == "Limit" and len(arguments) >= 3:
            return ("lim", arguments[0], arguments[1][1], arguments[2])
        raise NotMaths


def _plain_fraction(tree: Tree) -> Tree:
    """\\frac is told apart from / only where it may follow a whole number, as in 1\\frac{1}{2}."""
    return ("/", *tree[1:]) if tree[0] == "frac" else tree


def _mixed(left: Tree, right: Tree) -> bool:
    """Whether a whole number and a fraction behind it are a mixed number."""
    parts = (left, *right[1:]) if right[0] == "frac" else ()
    whole = bool(parts) and all(p[0] == "num" and p[1].denominator == 1 for p in parts)
    return whole and right[1][1] < right[2][1]


def _repeating(start: str, digits: str) -> Fraction:
    places = len(start.partition(".")[2])
    return Fraction(start + "0") + Fraction(int(digits), (10 ** len(digits) - 1) * 10**places)
