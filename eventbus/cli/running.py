"""How a long-running command ends: by a signal, or when one of its tasks does."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

COMPLETE_WITHIN = 0.7
"""Seconds that a stopped run gets to end its sessions: Ctrl-C ends the program within 3."""


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


async def run_until(
    stop: asyncio.Event, run: Awaitable[Any], complete: Callable[[], None], *, timeout: float | None = None
) -> None:
    """Runs a generator until it is done, or is told to complete what is open, because of `stop` or the time.

    Args:
        complete: makes the run end soon; one that takes longer than `COMPLETE_WITHIN` is cancelled.
        timeout: seconds; None means no limit.

    Raises:
        Exception: the error that ended the run.
    """
    task, stopping = asyncio.ensure_future(run), asyncio.ensure_future(stop.wait())
    try:
        await asyncio.wait({task, stopping}, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            complete()
            await asyncio.wait({task}, timeout=COMPLETE_WITHIN)
    finally:
        task.cancel()
        stopping.cancel()
        results = await asyncio.gather(task, stopping, return_exceptions=True)
    if isinstance(results[0], Exception):
        raise results[0]


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
