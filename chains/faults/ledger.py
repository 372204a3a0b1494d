"""The ledger: what a run was meant to be, and every fault in it, as JSON lines to hold a consumer's results against.

The first line is the run, the last one its totals; between them there is a line for each chain, once it has ended, one
for each fault, and one for each text that was still held back when the run was cut off, and never came.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any, BinaryIO

import numpy as np
import orjson

from eventbus.chains.faults.chapters import Chapters, ChapterWriter, Noted
from eventbus.chains.faults.kinds import KINDS
from eventbus.chains.faults.places import Place
from eventbus.chains.writing.block import Block
from eventbus.chains.writing.emitter import ID_AT
from eventbus.chains.writing.text import UUID_WIDTH

FORMAT = 1
TOGETHER = 4096
"""Events whose chains and faults are written together at least."""
ID = slice(ID_AT, ID_AT + UUID_WIDTH)
"""Where an event's line has its id."""

Struck = tuple[int, int, int, bytes, bytes, bytes]
"""Number in the clean stream, emitter, index of the chain, line, correlation id and details."""


class Ledger:
    """Writes a ledger.

    Args:
        file: where to.
        places: of the emitters of the run's plan.
        run: what makes the run repeatable: seed, start, …
    """

    def __init__(self, file: BinaryIO, places: Sequence[Place], run: Mapping[str, Any]) -> None:
        self.events = self.chains = 0
        self._file = file
        self._chapters = ChapterWriter(places)
        self._timestamp_at = np.array([place.timestamp_at for place in places], np.int64)
        self._named = [
            (
                b',"name":%b,"event_id":"' % orjson.dumps(place.chain),
                b'","event_type":%b,"correlation_id":"' % orjson.dumps(place.event_type),
            )
            for place in places
        ]
        #: Events that came since the last chains were written.
        self._noted: list[Noted] = []
        #: Before these, those of chains that have not ended.
        self._open = Noted.none()
        self._faults: list[tuple[int, bytes]] = []
        self._write("run", {"format": FORMAT, **run})

    def add(self, block: Block) -> None:
        """Take note of the events of a block before any fault."""
        if len(block):
            self._noted.append(Noted.of(block, self.events, self._timestamp_at))
            self.events += len(block)

    def faults(self, kind: str, struck: Iterable[Struck]) -> None:
        """Take note of events that a kind of fault struck."""
        begin = b'{"record":"fault","fault":"%b","chain":' % kind.encode()
        for number, emitter, chain, line, key, details in struck:
            name, event_type = self._named[emitter]
            text = b'%b%d%b%b%b%b"%b}\n' % (begin, chain, name, line[ID], event_type, key, details)
            self._faults.append((number, text))

    def flush(self) -> None:
        """Write what was noted, if it is much: in the order of the clean stream, a chain before the faults of its last
        event."""
        if sum(len(part.chain) for part in self._noted) >= TOGETHER:
            self._flush()

    def close(self, lines: int, faults: Mapping[str, int], unsent: Iterable[bytes]) -> None:
        """Write what is still open (of a run that was cut off), and the totals.

        Args:
            lines: how many were written to the stream.
            faults: how many events each kind struck.
            unsent: events that were held back and never came, or not again.
        """
        self._flush()
        self._write_out(self._chapters.written(self._open))
        for one in unsent:
            self._write("unsent", {"event_id": one[ID].decode()})
        counts = {kind: faults[kind] for kind in KINDS if kind in faults}
        totals = {"chains": self.chains, "events": self.events, "lines": lines, "faults": counts}
        self._write("totals", totals)

    def _flush(self) -> None:
        events = Noted.joined([self._open, *self._noted]).by_chain()
        begins = np.flatnonzero(np.diff(events.chain, prepend=-1))
        counts = np.diff(begins, append=events.chain.size)
        over = np.maximum.reduceat(events.last, begins).repeat(counts) if begins.size else events.last
        self._open, self._noted = events.take(np.flatnonzero(over == 0)), []
        self._write_out(self._chapters.written(events.take(np.flatnonzero(over))))

    def _write_out(self, chapters: Chapters) -> None:
        """Write lines about chains, with the faults between them."""
        faults, text = sorted(self._faults), chapters.text.data
        behind = chapters.numbers.searchsorted([number for number, _ in faults], side="right")
        places = np.append(0, chapters.ends).take(behind).tolist()
        pieces: list[bytes | memoryview] = [b""] * (2 * len(faults) + 1)
        pieces[0::2] = [text[begin:end] for begin, end in pairwise([0, *places, len(text)])]
        pieces[1::2] = [line for _, line in faults]
        self._file.write(b"".join(pieces))
        self.chains += chapters.numbers.size
        self._faults = []

    def _write(self, record: str, fields: Mapping[str, Any]) -> None:
        self._file.write(
            orjson.dumps({"record": record, **fields}, option=orjson.OPT_APPEND_NEWLINE | orjson.OPT_UTC_Z)
        )
