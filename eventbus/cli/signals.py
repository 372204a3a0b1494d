"""How a long-running command is told to end."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Iterator
from contextlib import contextmanager


def stop_on_signals() -> asyncio.Event:
    """An event that Ctrl-C, SIGTERM and a closed terminal set; a second Ctrl-C ends the program at once."""
    stop, loop = asyncio.Event(), asyncio.get_running_loop()

    def stopping() -> None:
        stop.set()
        loop.remove_signal_handler(signal.SIGINT)

    ending = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # as under nohup, which means to go on
        ending.append(signal.SIGHUP)
    for number in ending:
        loop.add_signal_handler(number, stopping)
    return stop


@contextmanager
def interrupted_by_sigterm() -> Iterator[None]:
    """Makes SIGTERM the same `KeyboardInterrupt` as Ctrl-C, so that a program without an event loop can tidy up."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
