"""Symbolic work in child processes with bounded memory and time, killed on overrun.

Children are started on first need, `python -m visreason.answer.worker`, and speak JSON over pipes: two trees go in,
whether they are equal comes out. Any thread may ask; each child serves one at a time. What takes too long is not equal.
The first question waits for a child to import sympy, about a second, unless `start` was called before it.
"""

import atexit
import json
import os
import queue
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from fractions import Fraction
from typing import Any

from visreason.answer import budget
from visreason.answer.arithmetic import NoNumber
from visreason.answer.compute import number, symbols
from visreason.answer.tree import Tree
from visreason.errors import RunError

TIMEOUT_S, START_S, ANSWER_S = 0.8, 120.0, 10.0
"""Processor time for one question; time for a child to start, and to answer whatever the question."""
WORKER = ("-P", "-m", "visreason.answer.worker")
MAX_CHILDREN = min(4, os.cpu_count() or 1)
MAX_NODES = 200
ENVIRONMENT = ("PATH", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "PYTHONHOME", "TMPDIR")
"""All that a child gets to know of its parent's environment, beside where modules lie."""


class Fault(Exception):
    """The child failed in code of this package, so that nothing is known about the answer."""


def same(gold: Tree, answer: Tree) -> bool:
    """Whether symbolic work finds two trees equal; False where it runs over its limits.

    Raises Fault where it failed by our own mistake, budget.Spent where this check has used up its time, and RunError
    where no child can be started.
    """
    if _size(gold) + _size(answer) > MAX_NODES or _tall(gold) or _tall(answer):
        return False
    allowed_s = budget.seconds_left(TIMEOUT_S)
    with _child() as child:
        reply = child.ask([allowed_s, to_rows(gold), to_rows(answer)])
    budget.spend_seconds(reply.get("seconds", allowed_s))
    if "fault" in reply:
        raise Fault(reply["fault"])
    return reply["equal"]


def start() -> None:
    """Begin to start a child, for questions to come; returns at once."""
    with _child() as child:
        child.begin()


def to_rows(tree: Any) -> Any:
    """A tree as JSON: tuples as lists, fractions as {"fraction": [numerator, denominator]} in digits."""
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

    def ask(self, question: list[Any]) -> dict[str, Any]:
        """{"equal", "seconds"} or {"fault", "seconds"}; not equal where the child died or took too long."""
        try:
            self.begin()
            self._wait()
            reply = self._reply(json.dumps(question).encode() + b"\n")
        except (OSError, TimeoutError):
            self.kill()
            return {"equal": False}
        except BaseException:  # interrupted between question and answer: the next answer would be this one's
            self.kill()
            raise
        try:
            return json.loads(reply)
        except ValueError:
            self.kill()
            return {"fault": f"expected JSON of the child, found {reply!r:.80}"}

    def begin(self) -> None:
        """Start the process where none runs. Raises RunError where that can't be done."""
        if self.process is not None and (self.process.poll() is None or not self.ready):
            return
        self.kill()
        kept = {name: os.environ[name] for name in ENVIRONMENT if name in os.environ}
        try:
            self.process = subprocess.Popen(
                [sys.executable, *WORKER],
                bufsize=0,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env={**kept, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)},
                start_new_session=True,
            )
        except OSError as e:
            raise _no_child(str(e)) from e

    def _wait(self) -> None:
        """Until the process is ready. Raises RunError with its last words where it never is."""
        if self.ready:
            return
        with suppress(OSError, TimeoutError):
            self.ready = self._line(START_S) == b"ready\n"
        if not self.ready:
            raise _no_child(self._last_words())

    def _reply(self, question: bytes) -> bytes:
        assert self.process is not None
        assert self.process.stdin is not None
        left = memoryview(question)
        while left:
            left = left[self.process.stdin.write(left) :]
        return self._line(ANSWER_S)

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

    def _last_words(self) -> str:
        """What the process, now killed, wrote to its standard error."""
        assert self.process is not None
        assert self.process.stderr is not None
        self._end()
        words = self.process.stderr.read().decode("utf-8", "replace").strip()
        return words[-2000:] or f"nothing within {START_S:.0f} s, exit status {self.process.returncode}"

    def _end(self) -> None:
        assert self.process is not None
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)  # with its fork
        self.process.wait()

    def kill(self) -> None:
        if self.process is not None:
            self._end()
            self.leave()

    def leave(self) -> None:
        """Let go of the process, which goes on if it is another one's."""
        if self.process is not None:
            for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
                if pipe is not None:
                    pipe.close()
            if self.process.returncode is None:
                self.process.returncode = 0  # nothing to wait for here
            self.process, self.ready = None, False


def _no_child(found: str) -> RunError:
    return RunError(
        f"expected a process for symbolic work ({sys.executable} {' '.join(WORKER)}), found that it does not start: "
        f"{found}. Check that this Python can import sympy"
    )


_children: list[_Child] = []
_idle: "queue.LifoQueue[_Child]" = queue.LifoQueue()


def _begin_afresh() -> None:
    """A forked process has children of its own; a lock that another thread may have held stays behind."""
    global _children, _idle
    for child in _children:
        child.leave()
    _children, _idle = [_Child() for _ in range(MAX_CHILDREN)], queue.LifoQueue()
    for child in _children:
        _idle.put(child)


_begin_afresh()
os.register_at_fork(after_in_child=_begin_afresh)


@contextmanager
def _child() -> Iterator[_Child]:
    """A child that is free; waits for one where all are busy."""
    idle = _idle
    child = idle.get()
    try:
        yield child
    finally:
        idle.put(child)


@atexit.register
def _stop() -> None:
    """Kill the children, busy ones too, at the end of the process that started them."""
    for child in _children:
        child.kill()


def _size(tree: Any) -> int:
    return 1 + sum(_size(part) for part in tree[1:]) if isinstance(tree, tuple) else 1


def _tall(tree: Any) -> bool:
    """Whether a power has an exponent, or a factorial an operand, that would be large when worked out."""
    if not isinstance(tree, tuple):
        return False
    if (tree[0] == "^" and _large(tree[2])) or (tree[:2] == ("call", "factorial") and _large(tree[2])):
        return True
    return any(_tall(part) for part in tree[1:])


def _large(tree: Tree) -> bool:
    """Whether a tree without symbols is a large number, or one whose size is not known."""
    try:
        return abs(number(tree, {})) > 1000
    except NoNumber:
        return not symbols(tree)
