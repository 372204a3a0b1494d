"""Writes the ledger of a run: its intended chains and all faults, as JSON lines to compare a consumer's results with.

The first record is the run, the last one its totals; between them there is one for each chain, after it has ended, one
for each fault, and one for each line that was held back when the run was cut off, and was never sent.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from itertools import pairwise
from typing import Any, BinaryIO, NamedTuple

import numpy as np
import orjson

from eventbus.catalog.model import FAULT_KINDS
from eventbus.chains.faults.record import FORMAT, RunRecord
from eventbus.chains.plan import EmitterInfo
from eventbus.chains.randomness import Integers
from eventbus.chains.rendering.block import Block
from eventbus.chains.rendering.columns import (
    TIMESTAMP_WIDTH,
    UUID_ROW,
    UUID_WIDTH,
    Memory,
    Rows,
    windows,
)
from eventbus.chains.rendering.lines import (
    ConstantText,
    KnownText,
    KnownTextList,
    KnownTexts,
    NumberText,
    OptionalRow,
    RowList,
    write_lines,
)
from eventbus.chains.rendering.render import ID_AT
from eventbus.event import EPOCH

TIME_ROW, ID_ROW = np.dtype(f"V{TIMESTAMP_WIDTH + 3}"), np.dtype(f"V{UUID_WIDTH + 3}")
"""With quotes and a comma."""


class EventColumns(NamedTuple):
    """Events as columns, with the texts that are written about them."""

    number: Integers
    """Number in the clean stream."""
    chain: Integers
    step: Integers
    emitter: Integers
    terminal: Integers
    """1 for the last event of a chain, else 0."""
    time: Rows
    id: Rows

    @classmethod
    def none(cls) -> EventColumns:
        nothing = np.empty(0, np.int64)
        return cls(nothing, nothing, nothing, nothing, nothing, np.empty(0, TIME_ROW), np.empty(0, ID_ROW))

    @classmethod
    def of(cls, block: Block, first: int, timestamp_at: Integers) -> EventColumns:
        """Copy the events of a block.

        Args:
            first: number of the first one in the clean stream.
            timestamp_at: by emitter, where in an event its timestamp begins.
        """
        events, starts = block.table, block.spans()[0]
        text = np.frombuffer(block.buffer, np.uint8)
        # both stand there with their quotes and a comma
        times = windows(text, TIME_ROW)[starts + (timestamp_at - 1).take(events.emitter)]
        ids = windows(text, ID_ROW)[starts + (ID_AT - 1)]
        numbers = np.arange(first, first + len(block))
        return cls(
            numbers,
            events.chain.copy(),
            events.step.copy(),
            events.emitter.copy(),
            events.terminal.copy(),
            times,
            ids,
        )

    @classmethod
    def joined(cls, parts: Sequence[EventColumns]) -> EventColumns:
        columns: list[Any] = [np.concatenate(columns) for columns in zip(*parts, strict=True)]
        return cls(*columns)

    def take(self, rows: Integers) -> EventColumns:
        columns: list[Any] = [column.take(rows) for column in self]
        return EventColumns(*columns)

    def order(self) -> Integers:
        """The rows by chain, then step."""
        if not self.chain.size:
            return np.empty(0, np.int64)
        places: Integers = self.chain - self.chain.min()
        steps, rows = int(self.step.max()) + 1, self.chain.size
        if int(places.max()) >= (1 << 62) // (steps * rows):
            order: Integers = np.lexsort((self.step, self.chain))
            return order
        places *= steps
        places += self.step
        places *= rows
        places += np.arange(rows)  # sorting numbers takes a tenth of the time of finding their order
        places.sort()
        places %= rows
        return places


class ChainRecords(NamedTuple):
    """Records of chains, in the order in which the chains ended."""

    text: Memory
    ends: Integers
    """Of the records in the text."""
    numbers: Integers
    """Of the chains' last events in the clean stream."""

    @classmethod
    def none(cls) -> ChainRecords:
        nothing = np.empty(0, np.int64)
        return cls(np.empty(0, np.uint8), nothing, nothing)


class ChainRecordWriter:
    """Writes records of chains from columns.

    Args:
        emitters: of a plan.
    """

    def __init__(self, emitters: Sequence[EmitterInfo]) -> None:
        names = [b',"chain":%b,"correlation_id":' % orjson.dumps(emitter.chain) for emitter in emitters]
        chains = list(dict.fromkeys(emitter.chain for emitter in emitters))
        self._chain = np.array([chains.index(emitter.chain) for emitter in emitters], np.int64)
        self._has_outcome = np.array([emitter.outcome is not None for emitter in emitters])
        outcomes = [None, "abandoned", *(emitter.outcome for emitter in emitters)]
        shown = [b',"outcome":%b,"path":[' % orjson.dumps(outcome) for outcome in outcomes]
        # without a root, a chain was cut off at its beginning
        self._names = KnownTexts([name + opening for name in names for opening in (b"null", b'"')])
        self._outcomes = KnownTexts([closing + outcome for outcome in shown for closing in (b"", b'"')])
        self._states = KnownTexts([orjson.dumps(emitter.state) + b"," for emitter in emitters])

    def written(self, events: EventColumns) -> ChainRecords:
        """The records of chains.

        Args:
            events: all events of these chains, by chain, then step.
        """
        begins = np.flatnonzero(np.diff(events.chain, prepend=-1))
        if not begins.size:
            return ChainRecords.none()
        counts = np.diff(begins, append=events.chain.size)
        numbers = np.maximum.reduceat(events.number, begins)
        rooted = (events.step.take(begins) == 0).astype(np.int64)
        ids = np.ndarray(events.id.shape, UUID_ROW, events.id, 1, events.id.strides)
        order = numbers.argsort()
        text, ends = write_lines(
            [
                ConstantText(b'{"record":"chain","index":', begins.size),
                NumberText(events.chain.take(begins)),
                KnownText(self._names, events.emitter.take(begins) * 2 + rooted),
                OptionalRow(ids.take(begins), rooted),
                KnownText(self._outcomes, self._outcome(events, begins, counts) * 2 + rooted),
                KnownTextList(self._states, events.emitter, begins, counts),
                ConstantText(b'],"times":[', begins.size),
                RowList(events.time, begins, counts),
                ConstantText(b'],"event_ids":[', begins.size),
                RowList(events.id, begins, counts),
                ConstantText(b"]}\n", begins.size),
            ],
            order,
        )
        return ChainRecords(text, ends, numbers.take(order))

    def _outcome(self, events: EventColumns, begins: Integers, counts: Integers) -> Integers:
        """How each chain ended, regardless of the chains it caused: 0 if it was cut off, 1 if it was abandoned,
        otherwise 2 + the emitter of the outcome."""
        chain = self._chain.take(events.emitter)
        has_outcome = self._has_outcome.take(events.emitter) & (chain == chain.take(begins).repeat(counts))
        rows = np.where(has_outcome, np.arange(has_outcome.size), has_outcome.size)
        first = np.minimum.reduceat(rows, begins)
        ended = np.maximum.reduceat(events.terminal, begins)
        return ended * np.where(first < has_outcome.size, 2 + np.append(events.emitter, 0).take(first), 1)


MIN_FLUSH = 4096
"""Events that are collected before their chains and faults are written."""
ID = slice(ID_AT, ID_AT + UUID_WIDTH)
"""The id in an event's line."""


class StruckEvents(NamedTuple):
    """What the ledger says of events that a fault struck, as columns."""

    number: Integers
    """In the clean stream."""
    emitter: Integers
    chain: Integers
    """Indices of the chains."""
    ids: list[bytes]
    correlation_ids: list[bytes]


def _template(text: str) -> bytes:
    """A JSON string in a template of bytes."""
    return orjson.dumps(text).replace(b"%", b"%%")


class Ledger:
    """Writes a ledger.

    Args:
        file: to write to.
        emitters: of the run's plan.
        run: what the run is made from.
    """

    def __init__(self, file: BinaryIO, emitters: Sequence[EmitterInfo], run: RunRecord) -> None:
        self.events = self.chains = 0
        self._file = file
        self._records = ChainRecordWriter(emitters)
        self._timestamp_at = np.array([emitter.timestamp_at for emitter in emitters], np.int64)
        #: By emitter: the record of a fault behind its kind, to be filled in.
        self._ends = [
            b'"chain":%%d,"name":%b,"event_id":"%%b","event_type":%b,"correlation_id":"%%b"%%b}\n'
            % (_template(emitter.chain), _template(emitter.event_type))
            for emitter in emitters
        ]
        self._templates: dict[str, list[bytes]] = {}
        #: Events added since the last flush.
        self._added: list[EventColumns] = []
        #: Earlier events, of chains that have not ended.
        self._open = EventColumns.none()
        #: Of the events that were struck, their numbers in the clean stream, and the records about them.
        self._fault_numbers: list[Integers] = []
        self._fault_records: list[bytes] = []
        self._write("run", {"format": FORMAT, **run.to_dict()})

    def add(self, block: Block) -> None:
        """Add the events of a block as they are without faults."""
        if len(block):
            self._added.append(EventColumns.of(block, self.events, self._timestamp_at))
            self.events += len(block)

    def faults(self, kind: str, struck: StruckEvents, details: Iterable[bytes]) -> None:
        """Add events that a kind of fault struck.

        Args:
            details: of each event, for the end of its record.
        """
        if kind not in self._templates:
            self._templates[kind] = [b'{"record":"fault","fault":"%b",%b' % (kind.encode(), end) for end in self._ends]
        templates = map(self._templates[kind].__getitem__, struck.emitter.tolist())
        rows = zip(templates, struck.chain.tolist(), struck.ids, struck.correlation_ids, details, strict=False)
        self._fault_numbers.append(struck.number)
        self._fault_records += [template % (chain, id, key, rest) for template, chain, id, key, rest in rows]

    def flush(self) -> None:
        """Write what was added, if it is enough; in clean stream order, chains before their last event's fault.

        As many events as are open, at least: each flush sorts those again, which then costs at most one row an event.
        """
        if sum(len(part.chain) for part in self._added) >= max(MIN_FLUSH, len(self._open.chain)):
            self._flush()

    def close(
        self, lines: int, faults: Mapping[str, int], unsent: Iterable[bytes], stopped_at: int | None = None
    ) -> None:
        """Write the chains that have not ended (of a run that was cut off), and the totals.

        Args:
            lines: how many were sent.
            faults: how many events each kind struck.
            unsent: lines that were held back and never sent.
            stopped_at: when the sessions of a stopped run ended, microseconds since the Unix epoch.
        """
        self._flush()
        self._write_out(self._records.written(self._open))
        for line in unsent:
            self._write("unsent", {"event_id": line[ID].decode()})
        counts = {kind: faults[kind] for kind in FAULT_KINDS if kind in faults}
        totals = {"chains": self.chains, "events": self.events, "lines": lines, "faults": counts}
        stopped = {} if stopped_at is None else {"stopped_at": EPOCH + timedelta(microseconds=stopped_at)}
        self._write("totals", totals | stopped)

    def _flush(self) -> None:
        events = EventColumns.joined([self._open, *self._added])
        order = events.order()
        chain = events.chain.take(order)
        begins = np.flatnonzero(np.diff(chain, prepend=-1))
        counts = np.diff(begins, append=chain.size)
        over = np.maximum.reduceat(events.terminal.take(order), begins).repeat(counts) if begins.size else order
        self._open, self._added = events.take(order[over == 0]), []
        self._write_out(self._records.written(events.take(order[over > 0])))

    def _write_out(self, records: ChainRecords) -> None:
        """Write records of chains, with those of faults between them."""
        numbers = np.concatenate([np.empty(0, np.int64), *self._fault_numbers])
        order = numbers.argsort(kind="stable")
        behind = records.numbers.searchsorted(numbers.take(order), side="right")
        places, text = np.append(0, records.ends).take(behind).tolist(), records.text.tobytes()
        pieces = [b""] * (2 * order.size + 1)
        pieces[0::2] = [text[begin:end] for begin, end in pairwise([0, *places, len(text)])]
        pieces[1::2] = map(self._fault_records.__getitem__, order.tolist())
        self._file.write(b"".join(pieces))
        self.chains += records.numbers.size
        self._fault_numbers, self._fault_records = [], []

    def _write(self, record: str, fields: Mapping[str, Any]) -> None:
        self._file.write(
            orjson.dumps({"record": record, **fields}, option=orjson.OPT_APPEND_NEWLINE | orjson.OPT_UTC_Z)
        )
