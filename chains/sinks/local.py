"""A bus as a sink: in process, or a real Kafka."""

from __future__ import annotations

import asyncio
import gzip
import os
import select
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path
from typing import BinaryIO

import cramjam

from eventbus.bus import EventBus
from eventbus.chains.errors import SinkUnusable
from eventbus.chains.sinks.sink import SinkStatistics, Tally
from eventbus.errors import DeliveryFailed, EventBusError
from eventbus.record import ProducerRecord

# JSON lines in files: plain, gzip or Zstandard, and a new part when one is full.


TOGETHER = 1 << 20
"""Bytes of text compressed together: more would hardly become smaller."""

Compress = Callable[[bytes], bytes]


def _gzip(text: bytes) -> bytes:
    return gzip.compress(text, compresslevel=6, mtime=0)


def _zstd(text: bytes) -> bytes:
    return bytes(cramjam.zstd.compress(text, level=3))


COMPRESSIONS: dict[str, Compress] = {".gz": _gzip, ".zst": _zstd}
"""By the ending of a file's name. Each stretch is a member (gzip) or a frame (Zstandard) of its own: readers of both
take them in a row, and a file cut off by a crash is readable up to the last whole one."""


class JsonlSink:
    """Appends the value of each record as a line. Writing happens in a thread: a slow disk holds up nobody else.

    Args:
        path: ends in `.gz` or `.zst` to be compressed; such a file is written a MiB of text at a time.
        rotate_bytes: a part that has reached this size is followed by another: `events.0001.jsonl`,
            `events.0002.jsonl`, …, on top of those already there. None: one file of exactly this name.
    """

    def __init__(self, path: Path, *, rotate_bytes: int | None = None) -> None:
        self.name = f"jsonl:{path}"
        self._path = path
        self._rotate_bytes = rotate_bytes
        self._compress = COMPRESSIONS.get(path.suffix)
        self._part = 0
        self._file: BinaryIO | None = None
        self._thread: ThreadPoolExecutor | None = None
        self._held: list[bytes] = []
        self._held_bytes = 0
        self._tally = Tally()

    async def open(self) -> None:
        """Raises SinkUnusable: the file cannot be written."""
        try:
            self._file = self._next_file()
        except OSError as error:
            raise SinkUnusable(f"{self.name}: {error.strerror}") from error
        self._thread = ThreadPoolExecutor(1)

    async def write(self, records: Sequence[ProducerRecord]) -> None:
        self._tally.accepted += len(records)
        lines = [(record.value or b"null") + b"\n" for record in records]  # a tombstone has no value
        self._held += lines
        self._held_bytes += sum(map(len, lines))
        if self._compress is None or self._held_bytes >= TOGETHER:
            await self.flush()

    async def flush(self) -> None:
        if not self._held or self._thread is None:
            return
        lines, self._held, self._held_bytes = self._held, [], 0
        job = asyncio.get_running_loop().run_in_executor(self._thread, self._append, b"".join(lines))
        try:
            await asyncio.shield(job)
        except asyncio.CancelledError:  # a thread cannot be stopped
            await asyncio.wait([job])
            raise
        except OSError:
            pass
        finally:
            self._count(len(lines), job.exception())

    async def close(self) -> None:
        await self.flush()
        if self._thread and self._file:
            self._thread.shutdown()
            self._file.close()

    async def give_up(self, records: Sequence[ProducerRecord], reason: str) -> None:
        self._tally.give_up(len(records), reason)

    def statistics(self) -> SinkStatistics:
        return self._tally.statistics()

    def _count(self, lines: int, error: BaseException | None) -> None:
        if error is None:
            self._tally.written += lines
        else:
            self._tally.failed += lines
            self._tally.trouble = str(error)

    def _append(self, text: bytes) -> None:
        """In the thread: all or nothing, so that no line is torn."""
        if self._rotate_bytes is not None and self._open_file.tell() >= self._rotate_bytes:
            self._open_file.close()
            self._file = self._next_file()
        file, begin = self._open_file, self._open_file.tell()
        rest = memoryview(self._compress(text) if self._compress else text)
        try:
            while rest:
                rest = rest[file.write(rest) :]
        except OSError:
            file.truncate(begin)
            file.seek(begin)
            raise

    @property
    def _open_file(self) -> BinaryIO:
        assert self._file is not None, "open() comes first"
        return self._file

    def _next_file(self) -> BinaryIO:
        if self._rotate_bytes is None:
            file = self._path.open("ab", buffering=0)
        else:
            self._part = next(number for number in count(self._part + 1) if not part(self._path, number).exists())
            file = part(self._path, self._part).open("xb", buffering=0)
        return file


def part(path: Path, number: int) -> Path:
    """`events.jsonl.gz` → `events.0001.jsonl.gz`."""
    stem, dot, endings = path.name.partition(".")
    return path.with_name(f"{stem}.{number:04}{dot}{endings}")


# JSON lines to standard output, or to any other descriptor, as far as somebody reads them.


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


class BusSink:
    """Publishes records into a bus.

    Args:
        bus: opened and closed by this sink.
        name: what it is called in an account.
        prepare: is awaited once the bus is open, so that the first record does not wait for it.
    """

    def __init__(
        self, bus: EventBus, *, name: str = "bus", prepare: Callable[[], Awaitable[None]] | None = None
    ) -> None:
        self.name = name
        self._bus = bus
        self._prepare = prepare
        self._tally = Tally()

    async def open(self) -> None:
        """Raises EventBusError: the broker cannot be reached, or refuses."""
        await self._bus.__aenter__()
        if self._prepare:
            await self._prepare()

    async def write(self, records: Sequence[ProducerRecord]) -> None:
        tally, written = self._tally, 0
        tally.accepted += len(records)
        try:
            written = await self._bus.publish_many(records)
        except DeliveryFailed as error:
            written, tally.trouble = error.acknowledged, str(error)
        except EventBusError as error:
            tally.trouble = str(error)
        finally:
            tally.written += written
            tally.failed += len(records) - written

    async def flush(self) -> None:
        """`write` waits for the acknowledgements."""

    async def close(self) -> None:
        await self._bus.close()

    async def give_up(self, records: Sequence[ProducerRecord], reason: str) -> None:
        self._tally.give_up(len(records), reason)

    def statistics(self) -> SinkStatistics:
        return self._tally.statistics()
