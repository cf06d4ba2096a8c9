"""Mathematics, LaTeX or plain, cut into tokens; the words, signs and brackets that `parse` knows."""

import re

MAX_TOKENS = 400

TOKEN = re.compile(
    r"(?P<number>(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+(?!\.\d))?)"
    r"|(?P<subscript>_\s*(?:\{[^{}]*(?:\{[^{}]*\}[^{}]*)*\}|\\[A-Za-z]+|\w))"
    r"|(?P<command>\\(?:begin|end)\s*\{\w+\*?\}|\\[lr]?[vV]ert|\\[A-Za-z]+\*?|\\[{}|])"
    r"|(?P<word>[A-Za-z\u0370-\u03ff]+)"
    r"|(?P<sign>\*\*|<=|>=|!=|==|[-+*/^_(){}\[\]|,;:=<>!%'&±∓∪∩∈ø∅])"
)
FUNCTIONS = (
    "sin", "cos", "tan", "cot", "sec", "csc", "arcsin", "arccos", "arctan", "arccot", "arcsec", "arccsc",
    "sinh", "cosh", "tanh", "coth", "sech", "csch", "arcsinh", "arccosh", "arctanh", "asin", "acos", "atan",
    "acot", "asec", "acsc", "asinh", "acosh", "atanh", "log", "ln", "lg", "exp", "gcd", "lcm", "max", "min",
    "floor", "ceil", "abs", "sqrt", "det", "binomial", "factorial", "mod", "sign", "root", "cbrt",
)  # fmt: skip
ALIASES = {
    "asin": "arcsin", "acos": "arccos", "atan": "arctan", "acot": "arccot", "asec": "arcsec", "acsc": "arccsc",
    "asinh": "arcsinh", "acosh": "arccosh", "atanh": "arctanh", "ceiling": "ceil", "tg": "tan", "ctg": "cot",
    "arcsinh": "arcsinh", "arsinh": "arcsinh", "arcosh": "arccosh", "artanh": "arctanh", "arctg": "arctan",
}  # fmt: skip
INVERTIBLE = ("sin", "cos", "tan", "cot", "sec", "csc", "sinh", "cosh", "tanh")
NUMBERS = {"N": "Naturals", "Z": "Integers", "Q": "Rationals", "R": "Reals", "C": "Complexes"}
CONSTANT_NAMES = {
    "pi": "pi", "infty": "infty", "oo": "infty", "inf": "infty", "infinity": "infty", "exponentialE": "e",
    "imaginaryI": "i", "imaginaryJ": "i",
}  # fmt: skip
GREEK = {
    "alpha", "beta", "gamma", "delta", "epsilon", "varepsilon", "zeta", "eta", "theta", "vartheta", "iota",
    "kappa", "lambda", "mu", "nu", "xi", "omicron", "rho", "varrho", "sigma", "tau", "upsilon", "phi", "varphi",
    "chi", "psi", "omega", "Gamma", "Delta", "Theta", "Lambda", "Xi", "Pi", "Sigma", "Upsilon", "Phi", "Psi",
    "Omega", "ell", "hbar",
}  # fmt: skip
GREEK_LETTERS = dict(zip("αβγδεζηθικλμνξορστυφχψω", (
    "alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta", "iota", "kappa", "lambda", "mu", "nu",
    "xi", "omicron", "rho", "sigma", "tau", "upsilon", "phi", "chi", "psi", "omega",
), strict=True))  # fmt: skip
RELATIONS = {
    "=": "=", "==": "=", "<": "<", ">": ">", "<=": "<=", ">=": ">=", "!=": "!=", "\\neq": "!=", "\\in": "in", "∈": "in",
    "\\equiv": "=", "\\approx": "=", "\\to": "->", "\\rightarrow": "->", "\\subset": "subset", "\\subseteq": "subseteq",
    "\\ngtr": "<=", "\\nless": ">=",
}  # fmt: skip
SET_SIGNS = {
    "\\cup": "cup",
    "∪": "cup",
    "\\cap": "cap",
    "∩": "cap",
    "\\setminus": "setminus",
    "\\backslash": "setminus",
}
BRACKETS = {
    "(": ")", "[": "]", "\\{": "\\}", "{": "}", "\\lbrace": "\\rbrace", "\\lbrack": "\\rbrack", "\\lgroup": "\\rgroup",
    "\\lparen": "\\rparen", "\\lfloor": "\\rfloor", "\\lceil": "\\rceil", "\\langle": "\\rangle", "\\lvert": "\\rvert",
    "\\lVert": "\\rVert",
}  # fmt: skip
PLAIN = {
    "\\lbrace": "\\{", "\\rbrace": "\\}", "\\lbrack": "[", "\\rbrack": "]", "\\lgroup": "(", "\\rgroup": ")",
    "\\lparen": "(", "\\rparen": ")", "\\langle": "(", "\\rangle": ")", "\\vert": "|", "\\mid": "|", "\\Vert": "|",
    "\\ulcorner": "\\lceil", "\\urcorner": "\\rceil", "\\llcorner": "\\lfloor", "\\lrcorner": "\\rfloor",
    "\\|": "|", "\\lvert": "|", "\\rvert": "|", "\\lVert": "|", "\\rVert": "|",
}  # fmt: skip
CLOSERS = {")", "]", "}", "\\}", "\\rfloor", "\\rceil", ",", ";", ":", "&", "\\\\", ""}
ACCENTS = {
    "overline": "bar", "bar": "bar", "hat": "hat", "widehat": "hat", "vec": "vec", "overrightarrow": "vec",
    "dot": "dot", "tilde": "tilde",
}  # fmt: skip
TIMES = {"*", "\\cdot", "\\times", "\\ast"}
OVER = {"/", "\\div"}
MODULO = {"\\mod", "\\bmod", "\\pmod"}
SIDE = re.compile(r"\^\{?[+-]\}?(?=\})|, dir='[+-]+'")
"""Sides from which a limit is taken, which are not read."""
PYTHON_INTERVAL = re.compile(r"\bInterval\.(open|Ropen|Lopen)\b")
INTERVALS = {"Interval": "[]", "Intervalopen": "()", "IntervalRopen": "[)", "IntervalLopen": "(]"}


class NotMaths(Exception):
    """The text is nothing that this file reads."""


def tokens(text: str, python: bool) -> list[str]:
    """The tokens of a text: numbers, names, commands, signs, and subscripts whole. Raises NotMaths."""
    found: list[str] = []
    at = 0
    while at < len(text):
        if text[at].isspace():
            at += 1
            continue
        if text.startswith("\\\\", at):
            found.append("\\\\")
            at += 2
            continue
        match = TOKEN.match(text, at)
        if match is None or len(found) > MAX_TOKENS:
            raise NotMaths
        token = match.group()
        if match.lastgroup == "word":
            found += _words(token, python)
        elif match.lastgroup == "subscript":
            found.append("_" + re.sub(r"^_\s*\{?|\}$", "", token))
        else:
            found.append(PLAIN.get(token, token))
        at = match.end()
    return found


def _words(word: str, python: bool) -> list[str]:
    """A run of letters as names: a known word whole, else letter by letter, as LaTeX reads it."""
    if python:
        return [word]
    if word in ("and", "or"):
        return [","]
    if len(word) == 1:
        return [GREEK_LETTERS.get(word, word)]
    found: list[str] = []
    while word:
        known = next((n for n in KNOWN_WORDS if word.startswith(n)), None)
        if known is None and len(word) > 3 and not found:
            raise NotMaths  # a word of a language
        known = known or word[0]
        found.append(f"\\{known}" if len(known) > 1 else GREEK_LETTERS.get(known, known))
        word = word[len(known) :]
    return found


KNOWN_WORDS = sorted(
    (*FUNCTIONS, *ALIASES, "pi", "infinity", "inf", "oo", *(g for g in GREEK if len(g) > 2)),
    key=len,
    reverse=True,
)
