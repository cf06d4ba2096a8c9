"""Dates in words and in digits, in English and Chinese."""

import re

MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
MONTH = (
    r"(?P<m>jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?|oct(?:ober)?"
    r"|nov(?:ember)?|dec(?:ember)?)\.?"
)
DAY, YEAR = r"(?P<d>\d{1,2})(?:st|nd|rd|th)?", r"(?P<y>\d{4})"
IN_DIGITS = re.compile(r"(\d{1,2})([-/.])(\d{1,2})\2(\d{4})")
FORMS = tuple(
    re.compile(form, re.IGNORECASE)
    for form in (
        rf"{YEAR}(?P<sign>[-/.])(?P<m>\d{{1,2}})(?P=sign)(?P<d>\d{{1,2}})",
        rf"(?:{YEAR}年)?(?P<m>\d{{1,2}})月(?:(?P<d>\d{{1,2}})[日号])?",
        rf"{MONTH} (?:the )?{DAY}(?:,? {YEAR})?",
        rf"{DAY} (?:of )?{MONTH}(?:,? {YEAR})?",
        rf"{MONTH},? {YEAR}",
        rf"{YEAR}-(?P<m>0[1-9]|1[0-2])",
        rf"(?P<m>0[1-9]|1[0-2])/{YEAR}",
    )
)


def date(text: str) -> tuple[int, int, int] | None:
    """Year, month and day, 0 for one that is not said; None for what is no date, or is read in two ways (3/5/2024, not
    13/5/2024).

    >>> date("May 3, 2024"), date("2024-05-03"), date("3rd of May"), date("2024年5月"), date("3/5/2024")
    ((2024, 5, 3), (2024, 5, 3), (0, 5, 3), (2024, 5, 0), None)
    """
    if digits := IN_DIGITS.fullmatch(text.strip(" .")):
        first, second, year = int(digits[1]), int(digits[3]), int(digits[4])
        return (year, min(first, second), max(first, second)) if max(first, second) > 12 else None
    found = next((m for form in FORMS if (m := form.fullmatch(text.strip(" .")))), None)
    if found is None:
        return None
    year, month, day = (found.groupdict().get(part) or "0" for part in "ymd")
    return int(year), int(month) if month.isdigit() else 1 + MONTHS.index(month[:3].lower()), int(day)
