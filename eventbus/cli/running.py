"""How a long-running command ends: by a signal, or when one of its tasks does."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

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


class DaemonThreads(ThreadPoolExecutor):
    """Runs each job in a daemon thread of its own, which nothing waits for at the end of the program."""

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        future = Future[T]()

        def job() -> None:
            if future.set_running_or_notify_cancel():
                try:
                    future.set_result(fn(*args, **kwargs))
                except BaseException as error:
                    future.set_exception(error)

        threading.Thread(target=job, daemon=True).start()
        return future


def run_abandoning_lookups(main: Coroutine[Any, Any, None]) -> None:
    """`asyncio.run`, except that the end does not wait for threads: a silent name server would hold it up for long.

    Args:
        main: must not leave threads of the event loop's executor that somebody needs.
    """

    async def run() -> None:
        asyncio.get_running_loop().set_default_executor(DaemonThreads())
        await main

    asyncio.run(run())


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
