"""Ending in order: a process told to end (SIGTERM, as a scheduler sends) finishes its step first."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def asked() -> Iterator[Callable[[], bool]]:
    """Within it SIGTERM is only remembered; what it gives says whether one came. Only the main thread gets signals."""
    came = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield came.is_set
        return
    before = signal.signal(signal.SIGTERM, lambda *_: came.set())
    try:
        yield came.is_set
    finally:
        signal.signal(signal.SIGTERM, before)
