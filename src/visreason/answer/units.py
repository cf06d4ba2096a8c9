"""Units of measure: how they are written, and how they convert within a dimension.

Of money only dollars and cents convert; ¥ is the sign of yuan and yen.
"""

import re
from fractions import Fraction

from visreason.answer.words import is_plural

TABLE: dict[str, tuple[str, str, str]] = {
    # name: (dimension, factor to the dimension's base, spellings)
    "m": ("length", "1", "meter meters metre metres 米"),
    "cm": ("length", "1/100", "centimeter centimeters centimetre centimetres cms 厘米"),
    "mm": ("length", "1/1000", "millimeter millimeters millimetre millimetres 毫米"),
    "dm": ("length", "1/10", "decimeter decimeters decimetre decimetres 分米"),
    "um": ("length", "1/1000000", "µm μm micrometer micrometers micron microns 微米"),
    "nm": ("length", "1/1000000000", "nanometer nanometers 纳米"),
    "km": ("length", "1000", "kilometer kilometers kilometre kilometres kms 千米 公里"),
    "in": ("length", "0.0254", "inch inches 英寸"),
    "ft": ("length", "0.3048", "foot feet 英尺"),
    "yd": ("length", "0.9144", "yard yards"),
    "mi": ("length", "1609.344", "mile miles"),
    "g": ("mass", "1", "gram grams gm gms 克"),
    "kg": ("mass", "1000", "kilogram kilograms kilo kilos kgs 千克 公斤"),
    "mg": ("mass", "1/1000", "milligram milligrams"),
    "ug": ("mass", "1/1000000", "μg microgram micrograms"),
    "t": ("mass", "1000000", "tonne tonnes 吨"),
    "lb": ("mass", "453.59237", "lbs pound pounds"),
    "oz": ("mass", "28.349523125", "ounce ounces"),
    "s": ("time", "1", "sec secs second seconds 秒"),
    "ms": ("time", "1/1000", "millisecond milliseconds 毫秒"),
    "us": ("time", "1/1000000", "µs μs microsecond microseconds 微秒"),
    "min": ("time", "60", "mins minute minutes 分钟"),
    "h": ("time", "3600", "hr hrs hour hours 小时"),
    "day": ("time", "86400", "days 天"),
    "week": ("time", "604800", "weeks 周"),
    "year": ("years", "1", "years yr yrs 年 岁"),
    "month": ("years", "1/12", "months mo 个月"),
    "l": ("volume", "1", "liter liters litre litres 升"),
    "ml": ("volume", "1/1000", "milliliter milliliters millilitre millilitres cc 毫升"),
    "gal": ("volume", "3.785411784", "gallon gallons"),
    "m/s": ("speed", "1", "mps m/sec meters/second 米/秒"),
    "km/h": ("speed", "5/18", "kph kmh km/hr kilometers/hour 千米/小时 千米/时"),
    "mph": ("speed", "0.44704", "mi/h miles/hour miles/hr"),
    "v": ("voltage", "1", "volt volts"),
    "mv": ("voltage", "1/1000", "millivolt millivolts"),
    "kv": ("voltage", "1000", "kilovolt kilovolts"),
    "megav": ("voltage", "1000000", "megavolt megavolts"),
    "a": ("current", "1", "amp amps ampere amperes"),
    "ma": ("current", "1/1000", "milliamp milliamps milliampere milliamperes"),
    "ohm": ("resistance", "1", "ohms ω Ω"),
    "kohm": ("resistance", "1000", "kohms kω kΩ"),
    "w": ("power", "1", "watt watts"),
    "kw": ("power", "1000", "kilowatt kilowatts"),
    "mw": ("power", "1/1000", "milliwatt milliwatts"),
    "megaw": ("power", "1000000", "megawatt megawatts"),
    "j": ("energy", "1", "joule joules newtonmeter"),
    "kj": ("energy", "1000", "kilojoule kilojoules"),
    "mj": ("energy", "1/1000", "millijoule millijoules"),
    "megaj": ("energy", "1000000", "megajoule megajoules"),
    "ev": ("electronvolts", "1", "electronvolt electronvolts"),
    "kev": ("electronvolts", "1000", ""),
    "megaev": ("electronvolts", "1000000", ""),
    "n": ("force", "1", "newton newtons 牛 牛顿"),
    "pa": ("pressure", "1", "pascal pascals"),
    "kpa": ("pressure", "1000", "kilopascal kilopascals"),
    "mpa": ("pressure", "1/1000", "millipascal millipascals"),
    "megapa": ("pressure", "1000000", "megapascal megapascals"),
    "hz": ("frequency", "1", "hertz 赫兹"),
    "khz": ("frequency", "1000", "kilohertz"),
    "megahz": ("frequency", "1000000", "megahertz"),
    "ghz": ("frequency", "1000000000", "gigahertz"),
    "byte": ("bytes", "1", "bytes"),
    "kb": ("bytes", "1000", "kilobyte kilobytes"),
    "mb": ("bytes", "1000000", "megabyte megabytes"),
    "gb": ("bytes", "1000000000", "gigabyte gigabytes"),
    "tb": ("bytes", "1000000000000", "terabyte terabytes"),
    "dollar": ("money", "1", "dollars usd bucks 美元"),
    "euro": ("euros", "1", "euros eur"),
    "kbit": ("bits", "1", "kbits kilobits"),
    "mbit": ("bits", "1000", "mbits megabits"),
    "gbit": ("bits", "1000000", "gbits gigabits"),
    "cent": ("money", "1/100", "cents ¢ 美分"),
    "元": ("yuan", "1", "yuan rmb cny yen"),
    "": ("", "1", "unit units degree degrees deg 度"),
}
KNOWN = {name: (dimension, Fraction(factor)) for name, (dimension, factor, _) in TABLE.items()}
NAMES = {
    spelling: name for name, (_, _, words) in TABLE.items() for spelling in (*words.split(), name) if spelling
}
POWERS = (("square ", 2), ("sq ", 2), ("sq. ", 2), ("cubic ", 3), ("cu ", 3), ("平方", 2), ("立方", 3))


def measure(unit: str) -> tuple[str, Fraction] | None:
    """The dimension of a unit of the table and its factor to the base unit; None for other words.

    >>> measure("minutes"), measure("apples")
    (('time', Fraction(60, 1)), None)
    """
    name = NAMES.get(unit.lower())
    return KNOWN[name] if name else None


def ratio(unit: str, other: str) -> Fraction | None:
    """How many of `other` one `unit` is: 1 where either is missing or both are the same words, None where they differ.

    >>> ratio("m", "centimeters"), ratio("m^2", "cm^2"), ratio("kg", "m"), ratio("apples", "")
    (Fraction(100, 1), Fraction(10000, 1), None, Fraction(1, 1))
    >>> ratio("L", "cm^3"), ratio("g/cm^3", "kg/m^3"), ratio("cities", "city")
    (Fraction(1000, 1), Fraction(1000, 1), Fraction(1, 1))
    """
    if not unit or not other or unit == other:
        return Fraction(1)
    size, other_size = _size(unit), _size(other)
    if size is None or other_size is None:
        (name, power), (other_name, other_power) = _base(unit), _base(other)
        return Fraction(1) if power == other_power and _alike(name, other_name) else None
    (dimension, factor), (other_dimension, other_factor) = size, other_size
    if not dimension or not other_dimension:
        return Fraction(1)
    return factor / other_factor if dimension == other_dimension else None


def _size(unit: str) -> tuple[str, Fraction] | None:
    """Dimension of a unit of the table, of its power or of a quotient, and its size; a litre is a cubic decimetre."""
    name, power = _base(unit)
    if name in NAMES:
        dimension, factor = KNOWN[NAMES[name]]
        if dimension == "volume":
            dimension, factor = "length^3", factor / 1000
        return (f"{dimension}^{power}" if dimension and power > 1 else dimension), factor**power
    top, _, bottom = unit.partition("/")
    over, under = (_size(top), _size(bottom)) if bottom and "/" not in bottom else (None, None)
    if over is None or under is None or not over[0] or not under[0]:
        return None
    return f"{over[0]}/{under[0]}", over[1] / under[1]


def _base(unit: str) -> tuple[str, int]:
    unit = re.sub(r"\s+per\s+", "/", unit.lower().strip().rstrip("."))
    for word, power in POWERS:
        if unit.startswith(word):
            return unit.removeprefix(word).strip(), power
    base, _, power = unit.partition("^")
    base = base.strip()
    if base.endswith((" squared", " cubed")):
        return base.rpartition(" ")[0], 2 if base.endswith("squared") else 3
    return (base, int(power)) if power in ("2", "3") else (unit, 1)


def _alike(name: str, other: str) -> bool:
    """Whether words of things counted name the same: one holds the other, plurals aside. A unit more is another."""
    words, others = name.split(), other.split()
    more = [w for w in words if not _among(w, others)], [w for w in others if not _among(w, words)]
    return not all(more) and not any(w in NAMES or re.search(r"[/^]", w) for w in (*more[0], *more[1]))


def _among(word: str, words: list[str]) -> bool:
    return any(word == w or is_plural(word, w) or is_plural(w, word) for w in words)
