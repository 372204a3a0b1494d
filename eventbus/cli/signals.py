"""How a long-running command is told to end."""

from __future__ import annotations

import asyncio
import signal


def stop_on_signals() -> asyncio.Event:
    """An event that Ctrl-C and SIGTERM set; a second Ctrl-C ends the program at once."""
    stop, loop = asyncio.Event(), asyncio.get_running_loop()

    def stopping() -> None:
        stop.set()
        loop.remove_signal_handler(signal.SIGINT)

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopping)
    return stop
