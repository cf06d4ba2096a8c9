"""Symbolic work in child processes with bounded memory and time, killed on overrun.

Children are started on first need, `python -m visreason.answer.worker`, and speak JSON over pipes; a tree goes in, a
yes or no comes out. Any thread may ask; each child serves one at a time. What takes too long is not equal. The first
question waits for a child to import sympy, about a second, unless `start` was called before it.
"""

import atexit
import json
import os
import queue
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from fractions import Fraction
from typing import Any

from visreason.answer.tree import Tree

TIMEOUT_S, START_S, ANSWER_S = 0.8, 30.0, 10.0
"""Processor time for one question; time for a child to start, and to answer whatever the question."""
MAX_CHILDREN = min(4, os.cpu_count() or 1)
MAX_NODES = 200


def same(gold: Tree, answer: Tree) -> bool:
    """Whether symbolic work finds two trees equal; False where it runs over its limits."""
    if _size(gold) + _size(answer) > MAX_NODES or _tall(gold) or _tall(answer):
        return False
    with _child() as child:
        return child.ask([to_rows(gold), to_rows(answer)])


def start() -> None:
    """Begin to start a child, for questions to come; returns at once."""
    with _child() as child:
        child.begin()


def to_rows(tree: Any) -> Any:
    """A tree as JSON: tuples as lists, fractions as ["num", numerator, denominator] in digits."""
    if isinstance(tree, Fraction):
        return {"fraction": [str(tree.numerator), str(tree.denominator)]}
    return [to_rows(part) for part in tree] if isinstance(tree, tuple) else tree


def from_rows(rows: Any) -> Any:
    """The tree in what `to_rows` made."""
    if isinstance(rows, dict):
        return Fraction(int(rows["fraction"][0]), int(rows["fraction"][1]))
    return tuple(from_rows(row) for row in rows) if isinstance(rows, list) else rows


class _Child:
    """One process; dead until it is asked, and dead again if it stops to answer."""

    def __init__(self) -> None:
        self.process: subprocess.Popen[bytes] | None = None
        self.ready = False

    def ask(self, question: list[Any]) -> bool:
        try:
            self.begin()
            self.ready = self.ready or self._line(START_S) == b"ready\n"
            assert self.process is not None
            assert self.process.stdin is not None
            self.process.stdin.write(json.dumps([TIMEOUT_S, *question]).encode() + b"\n")
            self.process.stdin.flush()
            return self._line(max(ANSWER_S, 4 * TIMEOUT_S)) == b"true\n"
        except (OSError, TimeoutError):
            self.kill()
            return False
        except BaseException:  # interrupted between question and answer: the next answer would be this one's
            self.kill()
            raise

    def begin(self) -> None:
        """Start the process where none runs."""
        if self.process is not None and self.process.poll() is None:
            return
        self.kill()
        path = os.pathsep.join(p for p in sys.path if p)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "visreason.answer.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": path},
            start_new_session=True,
        )

    def _line(self, timeout_s: float) -> bytes:
        assert self.process is not None
        pipe = self.process.stdout
        assert pipe is not None
        end = time.monotonic() + timeout_s
        found = b""
        while not found.endswith(b"\n"):
            left = end - time.monotonic()
            if left <= 0 or not select.select([pipe], [], [], left)[0]:
                raise TimeoutError
            piece = os.read(pipe.fileno(), 4096)
            if not piece:
                raise TimeoutError
            found += piece
        return found

    def kill(self) -> None:
        if self.process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)  # with its fork
            self.process.wait()
            for pipe in (self.process.stdin, self.process.stdout):
                with suppress(OSError):  # what was not yet written to a dead child
                    if pipe is not None:
                        pipe.close()
            self.process, self.ready = None, False


_idle: "queue.LifoQueue[_Child]" = queue.LifoQueue()
_owner = 0
_lock = threading.Lock()


@contextmanager
def _child() -> Iterator[_Child]:
    """A child that is free; waits for one where all are busy. A forked process has children of its own."""
    global _idle, _owner
    with _lock:
        if _owner != os.getpid():
            _owner, _idle = os.getpid(), queue.LifoQueue()
            for _ in range(MAX_CHILDREN):
                _idle.put(_Child())
    idle = _idle
    child = idle.get()
    try:
        yield child
    finally:
        idle.put(child)


@atexit.register
def _stop() -> None:
    """Kill the children at the end of the process that started them."""
    while _owner == os.getpid() and not _idle.empty():
        _idle.get_nowait().kill()


def _size(tree: Any) -> int:
    return 1 + sum(_size(part) for part in tree[1:]) if isinstance(tree, tuple) else 1


def _tall(tree: Any) -> bool:
    """Whether a power has an exponent that would be large when worked out."""
    if not isinstance(tree, tuple):
        return False
    if tree[0] == "^" and tree[2][0] not in ("sym", "const"):
        exponent = tree[2][1] if tree[2][0] == "-" else tree[2]
        if exponent[0] == "^" or (exponent[0] == "num" and exponent[1] > 1000):
            return True
    if tree[:2] == ("call", "factorial") and tree[2][0] == "num" and tree[2][1] > 1000:
        return True
    return any(_tall(part) for part in tree[1:])
