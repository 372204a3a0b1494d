"""What runs in a worker process (see `workers`): it walks the whole run, and writes its share as text."""

from __future__ import annotations

import mmap
import os
import pickle
import sys
from typing import NamedTuple

import numpy as np

from eventbus.chains.randomness import Integers
from eventbus.chains.stream import ChainStream, Extent
from eventbus.chains.writing.block import COLUMNS, Block
from eventbus.chains.writing.text import Memory

SLOTS = 4
"""Blocks that a worker may be ahead of its reader."""
COUNT_BYTES = 8
"""Of the message that a block is ready: how many events it has."""


class Job(NamedTuple):
    """One worker's share: every `of`-th portion of the events, from portion `number` on."""

    stream: ChainStream
    extent: Extent
    number: int
    of: int


class Slot:
    """A place for one block in memory that two processes share.

    Args:
        memory: of `size_for` bytes.
        stream: whose blocks they are.
    """

    def __init__(self, memory: memoryview, stream: ChainStream) -> None:
        columns = COLUMNS * stream.together * 8
        self._columns: Integers = np.frombuffer(memory[:columns], np.int64).reshape(COLUMNS, stream.together)
        self._cutter = stream.cutter
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
        return Block.of(self._columns[:, :events], self.text, self._cutter)


def slots(memory: mmap.mmap, stream: ChainStream) -> list[Slot]:
    """The slots of a shared memory."""
    size, view = Slot.size_for(stream), memoryview(memory)
    return [Slot(view[at : at + size], stream) for at in range(0, SLOTS * size, size)]


def work(job: Job, places: list[Slot], freed: int, ready: int) -> None:
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
        work(job, slots(memory, job.stream), sys.stdin.fileno(), sys.stdout.fileno())
    except BrokenPipeError:  # nobody reads any more
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
