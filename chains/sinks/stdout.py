"""JSON lines to standard output, or to any other descriptor, as far as somebody reads them."""

from __future__ import annotations

import asyncio
import os
import select
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from eventbus.chains.sinks.sink import SinkStatistics, Tally
from eventbus.record import ProducerRecord

PIECE = 4096
"""A pipe that is ready for writing takes so much without blocking (PIPE_BUF on Linux; elsewhere a little less)."""
LOOK = 0.1
"""Seconds between two looks at whether to stop while nobody reads."""


class Stopped(Exception):
    """Told to stop while nobody was reading."""


class StdoutSink:
    """Writes the value of each record as a line. Writing happens in a thread, which a reader that pauses holds up.

    Args:
        descriptor: open for writing, and left open.
        on_gone: called when the reader has gone, such as `head` that has seen enough.
    """

    def __init__(self, descriptor: int = 1, *, on_gone: Callable[[], None] = lambda: None) -> None:
        self.name = "stdout"
        self._descriptor = descriptor
        self._on_gone = on_gone
        self._stopping = False
        self._thread: ThreadPoolExecutor | None = None
        self._tally = Tally()

    async def open(self) -> None:
        self._thread = ThreadPoolExecutor(1)

    async def write(self, records: Sequence[ProducerRecord]) -> None:
        self._tally.accepted += len(records)
        text = b"".join([(record.value or b"null") + b"\n" for record in records])
        job = asyncio.get_running_loop().run_in_executor(self._thread, self._write, text)
        try:
            await asyncio.shield(job)
        except asyncio.CancelledError:
            self._stopping = True
            await asyncio.wait([job])
            raise
        except BrokenPipeError:
            self._on_gone()
        except (OSError, Stopped):
            pass
        finally:
            self._count(len(records), job.exception())

    async def flush(self) -> None:
        """Nothing is held back."""

    async def close(self) -> None:
        self._stopping = True
        if self._thread:
            self._thread.shutdown()

    async def give_up(self, records: Sequence[ProducerRecord], reason: str) -> None:
        self._tally.give_up(len(records), reason)

    def statistics(self) -> SinkStatistics:
        return self._tally.statistics()

    def _count(self, records: int, error: BaseException | None) -> None:
        if error is None:
            self._tally.written += records
        else:
            self._tally.failed += records
            self._tally.trouble = str(error)

    def _write(self, text: bytes) -> None:
        """In the thread: in pieces that never block, so that it can be told to stop."""
        rest = memoryview(text)
        while rest:
            if self._stopping:
                raise Stopped("nobody was reading")
            if select.select([], [self._descriptor], [], LOOK)[1]:
                rest = rest[os.write(self._descriptor, rest[:PIECE]) :]
