"""The child process of `sandbox`: reads pairs of trees as JSON lines, answers true or false, under a memory limit."""

import json
import resource
import sys

from visreason.answer import symbolic
from visreason.answer.sandbox import from_rows

MEMORY_BYTES = 2 << 30


def main() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    print("ready", flush=True)
    for line in sys.stdin:
        print("true" if _equal(line) else "false", flush=True)


def _equal(line: str) -> bool:
    try:
        gold, answer = json.loads(line)
        return symbolic.equal(from_rows(gold), from_rows(answer))
    except (
        Exception
    ):  # sympy raises all kinds of errors on what it can't do: then nothing was shown to be equal
        return False


if __name__ == "__main__":
    main()
