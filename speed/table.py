"""Printing a bench's table and keeping it as a section of docs/speed.md; measuring time and peak memory."""

import re
import resource
import time
from collections.abc import Callable
from pathlib import Path

PAGE = Path(__file__).parents[1] / "docs" / "speed.md"


def keep(title: str, note: str, header: list[str], rows: list[list[str]]) -> None:
    """Print a Markdown table and put it into docs/speed.md in place of the section of that title."""
    lines = [header, ["---"] * len(header), *rows]
    table = "\n".join("| " + " | ".join(line) + " |" for line in lines)
    section = f"## {title}\n\n{note}\n\n{table}\n"
    print(section)
    page = (
        PAGE.read_text(encoding="utf-8") if PAGE.exists() else "# Speed\n\nRatios measured by `make speed`.\n"
    )
    pattern = re.compile(rf"## {re.escape(title)}\n.*?(?=\n## |\Z)", re.DOTALL)
    page = (
        pattern.sub(lambda _: section, page) if pattern.search(page) else page.rstrip("\n") + "\n\n" + section
    )
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(page, encoding="utf-8")


def seconds(work: Callable[[], object], repeats: int = 3) -> float:
    """Shortest time of a piece of work, after one run that is not counted: whatever else a machine does only adds."""
    work()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times)


def peak_bytes() -> int:
    """Largest resident memory of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
