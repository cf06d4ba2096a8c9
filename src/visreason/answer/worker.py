"""The child process of `sandbox`: reads questions as JSON lines and hands them to a fork of itself, killed on time.

A new fork has sympy already, so that a question that overruns costs the next one nothing.
"""

import gc
import json
import os
import resource
import select
import signal
import sys

from visreason.answer import symbolic
from visreason.answer.sandbox import from_rows

MEMORY_BYTES = 2 << 30
WALL = 3
"""How much longer than its processor time a question may take on a busy machine."""


class _Fork:
    """A process that answers one question after the other."""

    def __init__(self) -> None:
        questions, self.questions = os.pipe()
        self.answers, answers = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            os.close(self.questions)
            os.close(self.answers)
            _serve(questions, answers)
        os.close(questions)
        os.close(answers)

    def ask(self, question: str, timeout_s: float) -> bytes:
        """b"1" or b"0"; empty where it died or took too long."""
        try:
            os.write(self.questions, question.encode())
        except BrokenPipeError:
            return b""
        return os.read(self.answers, 1) if select.select([self.answers], [], [], WALL * timeout_s)[0] else b""

    def kill(self) -> None:
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        os.close(self.questions)
        os.close(self.answers)


def main() -> None:
    gc.freeze()  # a fork then copies no page for the sake of the collector
    print("ready", flush=True)
    fork = _Fork()
    for line in sys.stdin:
        said = fork.ask(line, json.loads(line)[0])
        if not said:
            fork.kill()
            fork = _Fork()
        print("true" if said == b"1" else "false", flush=True)


def _serve(questions: int, answers: int) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    with os.fdopen(questions, encoding="utf-8") as lines:
        for line in lines:
            timeout_s, gold, answer = json.loads(line)
            signal.setitimer(signal.ITIMER_PROF, timeout_s)  # processor time; over it the fork ends
            os.write(answers, b"1" if _equal(gold, answer) else b"0")
    os._exit(0)


def _equal(gold: object, answer: object) -> bool:
    try:
        return symbolic.equal(from_rows(gold), from_rows(answer))
    except (
        Exception
    ):  # sympy raises errors of all kinds on what it can't do: then nothing was shown to be equal
        return False


if __name__ == "__main__":
    main()
