"""How a long-running command ends: by a signal, or when one of its tasks does."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Iterator
from contextlib import contextmanager
from typing import Any


def stop_on_signals() -> asyncio.Event:
    """An event that Ctrl-C, SIGTERM and a closed terminal set; a second Ctrl-C ends the program at once."""
    stop, loop = asyncio.Event(), asyncio.get_running_loop()

    def set_stop() -> None:
        stop.set()
        loop.remove_signal_handler(signal.SIGINT)

    signals = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # nohup ignores it so that the program keeps running
        signals.append(signal.SIGHUP)
    for number in signals:
        loop.add_signal_handler(number, set_stop)
    return stop


@contextmanager
def interrupted_by_sigterm() -> Iterator[None]:
    """Makes SIGTERM raise `KeyboardInterrupt`, as Ctrl-C does: for cleaning up without an event loop."""
    handler = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, handler)


async def until_first(*awaitables: Awaitable[Any], timeout: float | None = None) -> None:
    """Runs awaitables until one of them ends or the time is over, then cancels the others and waits for them.

    Args:
        timeout: seconds; None means no limit.

    Raises:
        Exception: the first one, in the order of the arguments, that an awaitable ended with.
    """
    tasks = [asyncio.ensure_future(awaitable) for awaitable in awaitables]
    try:
        await asyncio.wait(tasks, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
    for result in results:
        if isinstance(result, Exception):
            raise result
