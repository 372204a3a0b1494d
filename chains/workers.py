"""Several processes generate one stream of events: the same bytes in the same order, whatever their number.

Rendering takes most of the time. So every worker simulates the whole run, which needs neither communication nor a
bound on the length of chains, and renders every n-th block into memory that it shares with the reader, who takes the
blocks in turn. Pipes carry the turns; they also tell each side when the other one has ended. A worker is a fresh
interpreter: a fork would copy the locks of other threads in an arbitrary state, and `multiprocessing` would run the
caller's script again.
"""

from __future__ import annotations

import mmap
import os
import pickle
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from itertools import cycle
from typing import IO, NamedTuple

import numpy as np

from eventbus.chains.errors import InvalidSetting, WorkerDied
from eventbus.chains.randomness import Integers
from eventbus.chains.rendering.block import COLUMNS, Block
from eventbus.chains.rendering.columns import Memory
from eventbus.chains.stream import ChainStream, Extent

# The worker process.


SLOTS = 4
"""Blocks that a worker may be ahead of the reader."""
COUNT_BYTES = 8
"""Length of the message that a block is ready: its number of events."""


class WorkerShare(NamedTuple):
    """One worker's share: every `of`-th block, from block `number` on."""

    stream: ChainStream
    extent: Extent
    number: int
    of: int


class SharedSlot:
    """Room for one block in memory that two processes share.

    Args:
        memory: of `size_for` bytes.
        stream: the stream of the blocks.
    """

    def __init__(self, memory: memoryview, stream: ChainStream) -> None:
        columns = COLUMNS * stream.max_rows * 8
        self._columns: Integers = np.frombuffer(memory[:columns], np.int64).reshape(COLUMNS, stream.max_rows)
        self._slicer = stream.slicer
        #: Memory of the rendered events.
        self.text: Memory = np.frombuffer(memory[columns:], np.uint8)

    @staticmethod
    def size_for(stream: ChainStream) -> int:
        """Bytes that the largest block of a stream needs; a multiple of 8."""
        return COLUMNS * stream.max_rows * 8 + -(-stream.max_bytes // 8) * 8

    def put(self, block: Block) -> None:
        """Adds the columns of a block that is rendered into `text`."""
        self._columns[:, : len(block)] = block.columns

    def get(self, events: int) -> Block:
        """The block in this memory."""
        return Block.of(self._columns[:, :events], self.text, self._slicer)


def divided(memory: mmap.mmap, stream: ChainStream) -> list[SharedSlot]:
    """Divides shared memory into slots."""
    size, view = SharedSlot.size_for(stream), memoryview(memory)
    return [SharedSlot(view[at : at + size], stream) for at in range(0, SLOTS * size, size)]


def render_share(job: WorkerShare, slots: list[SharedSlot], freed: int, ready: int) -> None:
    """Renders a share into the slots in turn, and reports 0 events at the end.

    Args:
        freed: file descriptor; each byte that is read from it frees the oldest slot.
        ready: file descriptor; receives the number of events of each block.
    """
    rendered = 0
    for turn, table in enumerate(job.stream.tables(job.extent)):
        if turn % job.of != job.number:
            continue
        if rendered >= SLOTS and not os.read(freed, 1):
            return  # the reader has ended
        slot = slots[rendered % SLOTS]
        slot.put(job.stream.render(table, slot.text))
        os.write(ready, len(table).to_bytes(COUNT_BYTES, "little"))
        rendered += 1
    os.write(ready, bytes(COUNT_BYTES))


def main() -> None:
    """Renders the share that is pickled in the shared memory; the argument is its file descriptor."""
    with open(int(sys.argv[1]), "rb") as file:
        job = pickle.load(file)
        memory = mmap.mmap(file.fileno(), 0)
    try:
        render_share(job, divided(memory, job.stream), sys.stdin.fileno(), sys.stdout.fileno())
    except BrokenPipeError:  # the reader has ended
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


MAX_WORKERS = 64


def in_parallel(stream: ChainStream, extent: Extent, workers: int) -> Iterator[Block]:
    """The blocks of a stream, rendered by several processes; used and kept like those of the stream.

    The processes start with the first block and end with the iterator, also after an error.

    Raises:
        InvalidSetting: a bound is negative, or there are not 1 to 64 workers.
        WorkerDied: a process ended prematurely.
    """
    if not 1 <= workers <= MAX_WORKERS:
        raise InvalidSetting(f"expected 1 to {MAX_WORKERS} workers, got {workers}")
    if workers == 1:
        return stream.blocks(extent)
    stream.tables(extent)  # raises here if a bound is invalid, not in each process
    return _in_turn([WorkerShare(stream, extent, number, workers) for number in range(workers)])


def _in_turn(jobs: list[WorkerShare]) -> Iterator[Block]:
    with ExitStack() as stack:
        pool = [stack.enter_context(Worker(job)) for job in jobs]
        previous: Worker | None = None
        for worker in cycle(pool):
            block = worker.block()
            if block is None:  # blocks are dealt in turn, so the other workers have none left either
                return
            yield block
            if previous:
                previous.free()
            previous = worker


class Worker:
    """A worker process and the memory that is shared with it."""

    def __init__(self, job: WorkerShare) -> None:
        self._name = f"worker {job.number + 1} of {job.of}"
        self._consumed = 0
        with _shared_file(SLOTS * SharedSlot.size_for(job.stream)) as file:
            pickle.dump(job, file)  # read before the first block overwrites it
            file.flush()
            file.seek(0)
            self._slots = divided(mmap.mmap(file.fileno(), 0), job.stream)
            self.process = subprocess.Popen(
                [
                    sys.executable,
                    "-P",
                    "-c",
                    "from eventbus.chains.workers import main; main()",
                    str(file.fileno()),
                ],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                pass_fds=(file.fileno(),),
                env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
                process_group=0,  # Ctrl-C interrupts the reader, which ends the workers
            )

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *exc: object) -> None:
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            assert pipe is not None
            pipe.close()

    def block(self) -> Block | None:
        """The next block; None after the last one.

        Raises:
            WorkerDied: the process ended prematurely.
        """
        assert self.process.stdout is not None
        count = self.process.stdout.read(COUNT_BYTES)
        if len(count) < COUNT_BYTES:
            raise WorkerDied(f"{self._name} ended with {self.process.wait()} before its work did")
        events = int.from_bytes(count, "little")
        return self._slots[self._consumed % SLOTS].get(events) if events else None

    def free(self) -> None:
        """Frees the slot of the block that was consumed."""
        assert self.process.stdin is not None
        self._consumed += 1
        with suppress(BrokenPipeError):  # the process has ended; `block` finds out whether prematurely
            os.write(self.process.stdin.fileno(), b"\n")


def _shared_file(size: int) -> IO[bytes]:
    """An anonymous file, in memory if the system supports it."""
    if sys.platform == "linux":
        file: IO[bytes] = os.fdopen(os.memfd_create("eventbus"), "w+b")
    else:
        file = tempfile.TemporaryFile()  # noqa: SIM115  # the caller closes it
    file.truncate(size)
    return file
