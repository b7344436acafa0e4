"""A signal that comes amid a call waits for its end."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Let the first SIGINT or SIGTERM wait for the end of the block; a second one comes through at once.

    An exception that a signal raises amid a call of SQLAlchemy can leave the
    transaction open, and a sqlite file locked, for as long as somebody holds the
    exception. Outside the main thread, where Python handles no signals, nothing changes.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[tuple[signal.Signals, FrameType | None]] = []
    # one that is ignored, or ends the process without Python, stays as it is
    handlers = {number: now for number in SIGNALS if callable(now := signal.getsignal(number))}

    def hold(number: int, frame: FrameType | None) -> None:
        came.append((signal.Signals(number), frame))
        if len(came) > 1:
            handlers[came[-1][0]](number, frame)

    for number in handlers:
        signal.signal(number, hold)
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        if len(came) == 1:
            first, frame = came[0]
            handlers[first](first, frame)
