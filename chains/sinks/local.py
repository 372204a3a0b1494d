"""Sinks of this machine and of a bus: JSON lines in files and on standard output, and any event bus."""

from __future__ import annotations

import asyncio
import errno
import gzip
import os
import select
from asyncio import Future
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import count
from pathlib import Path
from threading import Event
from typing import BinaryIO

import cramjam

from eventbus.bus import EventBus
from eventbus.chains.errors import ChainError, SinkUnusable
from eventbus.chains.sinks.sink import CountingSink
from eventbus.errors import DeliveryFailed, EventBusError
from eventbus.record import ProducerRecord

COMPRESSED_BYTES = 1 << 20
"""Text that is compressed together; more would hardly compress better."""

Compress = Callable[[bytes], bytes]


def _gzip(text: bytes) -> bytes:
    return gzip.compress(text, compresslevel=6, mtime=0)


def _zstd(text: bytes) -> bytes:
    return bytes(cramjam.zstd.compress(text, level=3))


COMPRESSIONS: dict[str, Compress] = {".gz": _gzip, ".zst": _zstd}
"""By file suffix. Every chunk is a gzip member or Zstandard frame of its own: readers of both formats concatenate them,
and a file that a crash cut off is readable up to its last whole one."""


class JsonlSink(CountingSink):
    """Appends the value of each record as a line to a file, in a thread: a slow disk does not block the event loop.

    A line that a crash has cut off stays as it is, and the next one begins a line. A named pipe waits for its reader.

    Args:
        path: compressed if it ends in `.gz` or `.zst`; such a file is written a MiB of text at a time.
        rotate_bytes: start another part when one has reached this size: `events.0001.jsonl`, `events.0002.jsonl`, …,
            after those that exist. None: one file of exactly this name.
    """

    def __init__(self, path: Path, *, rotate_bytes: int | None = None) -> None:
        super().__init__(f"jsonl:{path}")
        self._path = path
        self._rotate_bytes = rotate_bytes
        self._compress = COMPRESSIONS.get(path.suffix)
        self._part = 0
        self._file: BinaryIO | None = None
        self._thread: ThreadPoolExecutor | None = None
        self._held: list[bytes] = []
        self._held_bytes = 0
        self._is_seekable = True
        self._stopping = Event()

    async def open(self) -> None:
        """Raises SinkUnusable: the file cannot be written."""
        try:
            self._file = await self._reading_end() if self._path.is_fifo() else self._next_file()
            self._is_seekable = self._file.seekable()
            if self._compress is None and self._rotate_bytes is None and self._is_seekable:
                self._begin_line(self._file)
        except OSError as error:
            raise SinkUnusable(f"{self.name}: {error.strerror}") from error
        self._thread = ThreadPoolExecutor(1)

    async def write(self, records: Sequence[ProducerRecord]) -> None:
        self._counts.accepted += len(records)
        lines = [(record.value or b"null") + b"\n" for record in records]  # a tombstone has no value
        self._held += lines
        self._held_bytes += sum(map(len, lines))
        if self._compress is None or self._held_bytes >= COMPRESSED_BYTES:
            await self.flush()

    async def flush(self, after: Awaitable[object] | None = None) -> None:
        await super().flush(after)
        if not self._held or self._thread is None:
            return
        lines, self._held, self._held_bytes = self._held, [], 0
        job = asyncio.get_running_loop().run_in_executor(self._thread, self._append, b"".join(lines))
        try:
            await finished(job, self._stopping)
        finally:
            self._counts.settle(len(lines), job.exception())

    async def close(self) -> None:
        await self.flush()
        if self._thread and self._file:
            self._thread.shutdown()
            self._file.close()

    def _append(self, text: bytes) -> None:
        """In the thread: writes everything, or truncates the file to what it was; a pipe gets what it takes."""
        if not self._is_seekable:
            write_to_pipe(self._open_file.fileno(), self._compress(text) if self._compress else text, self._stopping)
            return
        if self._rotate_bytes is not None and self._open_file.tell() >= self._rotate_bytes:
            following = self._next_file()  # if there is no room for it, this part stays open: there may be later
            self._open_file.close()
            self._file = following
        file, start = self._open_file, self._open_file.tell()
        rest = memoryview(self._compress(text) if self._compress else text)
        try:
            while rest:
                rest = rest[file.write(rest) :]
        except OSError:
            with suppress(OSError):  # a device has no size
                file.truncate(start)
                file.seek(start)
            raise

    @property
    def _open_file(self) -> BinaryIO:
        assert self._file is not None, "open() comes first"
        return self._file

    def _next_file(self) -> BinaryIO:
        if self._rotate_bytes is None:
            file = self._path.open("ab", buffering=0)
        else:
            number = next(number for number in count(self._part + 1) if not part_path(self._path, number).exists())
            file = part_path(self._path, number).open("xb", buffering=0)
            self._part = number
        return file

    async def _reading_end(self) -> BinaryIO:
        """The named pipe, once something reads it; an ordinary `open` would hold up the whole program until then."""
        while True:
            try:
                descriptor = os.open(self._path, os.O_WRONLY | os.O_NONBLOCK)
            except OSError as error:
                if error.errno != errno.ENXIO:
                    raise
                await asyncio.sleep(POLL_INTERVAL)
            else:
                os.set_blocking(descriptor, True)
                return os.fdopen(descriptor, "wb", buffering=0)

    def _begin_line(self, file: BinaryIO) -> None:
        with suppress(PermissionError), self._path.open("rb") as written:
            size = os.fstat(written.fileno()).st_size
            if size and os.pread(written.fileno(), 1, size - 1) != b"\n":
                file.write(b"\n")


def part_path(path: Path, number: int) -> Path:
    """`events.jsonl.gz` → `events.0001.jsonl.gz`."""
    stem, dot, endings = path.name.partition(".")
    return path.with_name(f"{stem}.{number:04}{dot}{endings}")


PIPE_BUF = 4096
"""Bytes that a pipe which is ready for writing takes without blocking on Linux (elsewhere a little less)."""
POLL_INTERVAL = 0.1
"""Seconds between two checks for a stop while nobody reads."""


class Stopped(ChainError):
    """The sink was closed while nobody was reading."""


async def finished(job: Future[None], stopping: Event) -> None:
    """Wait for a job in a thread, which cannot be cancelled: however often the task is, it waits to the end.

    Args:
        stopping: set if the task is cancelled; the job may end early then.

    Raises:
        asyncio.CancelledError: the task was cancelled, once the job has ended.
        Exception: one that the job did not expect; the expected ones are for the caller to count.
    """
    cancelled: asyncio.CancelledError | None = None
    while not job.done():
        try:
            await asyncio.wait([job])
        except asyncio.CancelledError as error:
            stopping.set()
            cancelled = error
    if cancelled:
        raise cancelled
    if (unexpected := job.exception()) and not isinstance(unexpected, OSError | Stopped):
        raise unexpected


def write_to_pipe(descriptor: int, text: bytes, stopping: Event) -> None:
    """Writes in pieces that do not block, so that it can be stopped.

    Raises:
        Stopped: `stopping` was set while nobody was reading.
        OSError: the pipe is closed, or broken.
    """
    rest = memoryview(text)
    while rest:
        if stopping.is_set():
            raise Stopped("nobody was reading")
        if select.select([], [descriptor], [], POLL_INTERVAL)[1]:
            rest = rest[os.write(descriptor, rest[:PIPE_BUF]) :]


class StdoutSink(CountingSink):
    """Writes the value of each record as a line to a descriptor, in a thread, which blocks while nobody reads.

    Args:
        descriptor: open for writing, and left open.
        on_gone: called when the reader has closed the pipe, as `head` does.
    """

    def __init__(self, descriptor: int = 1, *, on_gone: Callable[[], None] = lambda: None) -> None:
        super().__init__("stdout")
        self._descriptor = descriptor
        self._on_gone = on_gone
        self._stopping = Event()
        self._thread: ThreadPoolExecutor | None = None

    async def open(self) -> None:
        self._thread = ThreadPoolExecutor(1)

    async def write(self, records: Sequence[ProducerRecord]) -> None:
        self._counts.accepted += len(records)
        text = b"".join([(record.value or b"null") + b"\n" for record in records])
        job = asyncio.get_running_loop().run_in_executor(
            self._thread, write_to_pipe, self._descriptor, text, self._stopping
        )
        try:
            await finished(job, self._stopping)
        finally:
            self._counts.settle(len(records), job.exception())
            if isinstance(job.exception(), BrokenPipeError):
                self._on_gone()

    async def close(self) -> None:
        self._stopping.set()
        if self._thread:
            self._thread.shutdown()


class BusSink(CountingSink):
    """Publishes records into a bus.

    Args:
        bus: opened and closed by this sink.
        name: shown beside the statistics.
        prepare: awaited once the bus is open, such as the creation of topics.
    """

    def __init__(
        self, bus: EventBus, *, name: str = "bus", prepare: Callable[[], Awaitable[None]] | None = None
    ) -> None:
        super().__init__(name)
        self._bus = bus
        self._prepare = prepare

    async def open(self) -> None:
        """Raises EventBusError: the broker cannot be reached, or refuses."""
        await self._bus.__aenter__()
        if self._prepare:
            await self._prepare()

    async def write(self, records: Sequence[ProducerRecord]) -> None:
        counts, written, reason = self._counts, 0, "the stream ended"
        counts.accepted += len(records)
        try:
            written = await self._bus.publish_many(records)
        except EventBusError as error:
            written = error.acknowledged if isinstance(error, DeliveryFailed) else 0
            counts.last_error, reason = str(error), type(error).__name__
        finally:
            counts.written += written
            if lost := len(records) - written:
                counts.failed += lost
                counts.count_reason(reason, lost)

    async def close(self) -> None:
        await self._bus.close()
