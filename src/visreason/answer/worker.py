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
import time
from typing import Any

from visreason.answer import symbolic
from visreason.answer.sandbox import from_rows

MEMORY_BYTES = 2 << 30
WALL = 10
"""How many times its processor time a question may take on a busy machine."""
REPLY_BYTES = 2_000
"""Less than a pipe passes on in one piece."""


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
        """The reply; empty where it died or took too long."""
        try:
            os.write(self.questions, question.encode())
        except BrokenPipeError:
            return b""
        in_time = select.select([self.answers], [], [], WALL * timeout_s)[0]
        return os.read(self.answers, REPLY_BYTES) if in_time else b""

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
        timeout_s = json.loads(line)[0]
        reply = fork.ask(line, timeout_s)
        if not reply:
            fork.kill()
            fork = _Fork()
        print(reply.decode() or json.dumps({"equal": False, "seconds": timeout_s}), flush=True)


def _serve(questions: int, answers: int) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    with os.fdopen(questions, encoding="utf-8") as lines:
        for line in lines:
            timeout_s, gold, answer = json.loads(line)
            before = time.process_time()
            signal.setitimer(signal.ITIMER_PROF, timeout_s)  # processor time; over it the fork ends
            reply = _answer(gold, answer)
            reply["seconds"] = time.process_time() - before
            os.write(answers, json.dumps(reply).encode())
    os._exit(0)


def _answer(gold: object, answer: object) -> dict[str, Any]:
    """{"equal"}, or {"fault"} where our own code raised. sympy raises errors of all kinds on what it can't do: then
    nothing was shown to be equal.
    """
    try:
        return {"equal": bool(symbolic.equal(from_rows(gold), from_rows(answer)))}
    except (symbolic.NotBuilt, MemoryError, RecursionError):
        return {"equal": False}
    except Exception as e:
        return {"fault": repr(e)[: REPLY_BYTES // 8]} if _is_ours(e) else {"equal": False}


def _is_ours(error: Exception) -> bool:
    """Whether an error was raised in this package, and not in what sympy made of the trees."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return trace is not None and trace.tb_frame.f_globals.get("__name__", "").startswith("visreason.")


if __name__ == "__main__":
    main()
