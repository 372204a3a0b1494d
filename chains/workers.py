"""Several processes make one stream of events: the same bytes, in the same order, whatever their number.

What happens when takes a sixth of the work, its text the rest. So every worker walks the whole run, which needs no
agreement and no bound on how long chains last, and writes every n-th portion of its text into memory that it shares
with the reader, who takes the portions in turn. Pipes carry the turns; they also tell each side when the other has
gone. A worker is a fresh interpreter: a fork would copy the locks of other threads in whatever state they are in,
and `multiprocessing` would run the caller's script a second time.
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

# What runs in a worker process (see `workers`): it walks the whole run, and writes its share as text.


SLOTS = 4
"""Blocks that a worker may be ahead of its reader."""
COUNT_BYTES = 8
"""Of the message that a block is ready: how many events it has."""


class WorkerShare(NamedTuple):
    """One worker's share: every `of`-th portion of the events, from portion `number` on."""

    stream: ChainStream
    extent: Extent
    number: int
    of: int


class SharedSlot:
    """A place for one block in memory that two processes share.

    Args:
        memory: of `size_for` bytes.
        stream: whose blocks they are.
    """

    def __init__(self, memory: memoryview, stream: ChainStream) -> None:
        columns = COLUMNS * stream.together * 8
        self._columns: Integers = np.frombuffer(memory[:columns], np.int64).reshape(COLUMNS, stream.together)
        self._slicer = stream.slicer
        #: For the text.
        self.text: Memory = np.frombuffer(memory[columns:], np.uint8)

    @staticmethod
    def size_for(stream: ChainStream) -> int:
        """Bytes that the largest block of a stream needs, a multiple of 8."""
        return COLUMNS * stream.together * 8 + -(-stream.largest // 8) * 8

    def put(self, block: Block) -> None:
        """Completes a block whose text is in `text` already."""
        self._columns[:, : len(block)] = block.columns

    def get(self, events: int) -> Block:
        """The block, in this memory."""
        return Block.of(self._columns[:, :events], self.text, self._slicer)


def slots(memory: mmap.mmap, stream: ChainStream) -> list[SharedSlot]:
    """The slots of a shared memory."""
    size, view = SharedSlot.size_for(stream), memoryview(memory)
    return [SharedSlot(view[at : at + size], stream) for at in range(0, SLOTS * size, size)]


def render_share(job: WorkerShare, places: list[SharedSlot], freed: int, ready: int) -> None:
    """Writes the share into the slots in turn, and says 0 at the end.

    Args:
        freed: file descriptor; each byte read from it frees the oldest slot.
        ready: file descriptor; told how many events each block has.
    """
    made = 0
    for turn, table in enumerate(job.stream.tables(job.extent)):
        if turn % job.of != job.number:
            continue
        if made >= SLOTS and not os.read(freed, 1):
            return  # nobody reads any more
        place = places[made % SLOTS]
        place.put(job.stream.render(table, place.text))
        os.write(ready, len(table).to_bytes(COUNT_BYTES, "little"))
        made += 1
    os.write(ready, bytes(COUNT_BYTES))


def main() -> None:
    """Finds the job in the memory whose file descriptor is the argument."""
    with open(int(sys.argv[1]), "rb") as file:
        job = pickle.load(file)
        memory = mmap.mmap(file.fileno(), 0)
    try:
        render_share(job, slots(memory, job.stream), sys.stdin.fileno(), sys.stdout.fileno())
    except BrokenPipeError:  # nobody reads any more
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


MAX_WORKERS = 64


def in_parallel(stream: ChainStream, extent: Extent, workers: int) -> Iterator[Block]:
    """The blocks of a stream, made by several processes. Consume a block before asking for the next.

    The processes start with the first block and end with the iterator, whatever ends that.

    Raises:
        InvalidSetting: a bound is negative, or there are not 1 to 64 workers.
        WorkerDied: a process ended before its work did.
    """
    if not 1 <= workers <= MAX_WORKERS:
        raise InvalidSetting(f"expected 1 to {MAX_WORKERS} workers, got {workers}")
    if workers == 1:
        return stream.blocks(extent)
    stream.tables(extent)  # refuses wrong bounds: here, not in each process
    return _in_turn([WorkerShare(stream, extent, number, workers) for number in range(workers)])


def _in_turn(jobs: list[WorkerShare]) -> Iterator[Block]:
    with ExitStack() as stack:
        crew = [stack.enter_context(Worker(job)) for job in jobs]
        for worker in cycle(crew):
            block = worker.block()
            if block is None:  # the portions are dealt in turn: the others have none left either
                return
            yield block
            worker.free()


class Worker:
    """One process and the memory shared with it."""

    def __init__(self, job: WorkerShare) -> None:
        self._name = f"worker {job.number + 1} of {job.of}"
        self._taken = 0
        with _shared_file(SLOTS * SharedSlot.size_for(job.stream)) as file:
            pickle.dump(job, file)  # read before the first block overwrites it
            file.flush()
            file.seek(0)
            self._slots = slots(mmap.mmap(file.fileno(), 0), job.stream)
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
                process_group=0,  # Ctrl-C is for the reader, who ends the workers
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
        """The next portion; None after the last.

        Raises:
            WorkerDied: there will be none, nor was that said.
        """
        assert self.process.stdout is not None
        count = self.process.stdout.read(COUNT_BYTES)
        if len(count) < COUNT_BYTES:
            raise WorkerDied(f"{self._name} ended with {self.process.wait()} before its work did")
        events = int.from_bytes(count, "little")
        return self._slots[self._taken % SLOTS].get(events) if events else None

    def free(self) -> None:
        """The portion has been consumed."""
        assert self.process.stdin is not None
        self._taken += 1
        with suppress(BrokenPipeError):  # it has ended; `block` knows whether in order
            os.write(self.process.stdin.fileno(), b"\n")


def _shared_file(size: int) -> IO[bytes]:
    """A file without a name, in memory where the system can."""
    if sys.platform == "linux":
        file: IO[bytes] = os.fdopen(os.memfd_create("eventbus"), "w+b")
    else:
        file = tempfile.TemporaryFile()  # noqa: SIM115  # the caller closes it
    file.truncate(size)
    return file
