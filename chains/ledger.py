"""The ledger: what a run was meant to be, and every fault in it, as JSON lines to hold a consumer's results against.

The first line is the run, the last one its totals; between them there is a line for each chain, once it has ended, and
one for each fault.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, BinaryIO, NamedTuple

import numpy as np
import orjson

from chains.block import Block
from chains.emitter import ID_AT
from chains.places import Place
from chains.randomness import Integers
from chains.text import TIMESTAMP_WIDTH, UUID_ROW, UUID_WIDTH, Rows, timestamps, windows

FORMAT = 1


class Ledger:
    """Writes a ledger.

    Args:
        file: where to.
        places: of the emitters of the run's plan.
        run: what makes the run repeatable: seed, start, …
    """

    def __init__(self, file: BinaryIO, places: Sequence[Place], run: Mapping[str, Any]) -> None:
        self.faults: Counter[str] = Counter()
        self.events = self.chains = 0
        self._file = file
        self._places = places
        self._lines: list[tuple[int, int, bytes]] = []
        self._open = _Open.none()
        self._note(-1, 0, "run", {"format": FORMAT, **run})

    def add(self, block: Block) -> None:
        """Take note of the events of a block before any fault."""
        every = self._open.joined(_Open.of(block, self.events))
        over = every.chain[every.last > 0]
        ended = np.isin(every.chain, over)
        self._open = every.take(~ended)
        self._note_chains(every.take(ended))
        self.events += len(block)

    def fault(self, number: int, kind: str, details: Mapping[str, Any]) -> None:
        """Take note of a fault.

        Args:
            number: of the event in the clean stream.
        """
        self.faults[kind] += 1
        self._note(number, 1, "fault", {"fault": kind, **details})

    def flush(self) -> None:
        """Write what was noted, in the order of the clean stream."""
        self._file.write(b"".join(line for _, _, line in sorted(self._lines)))
        self._lines.clear()

    def close(self, lines: int) -> None:
        """Write what is still open (of a run that was cut off), and the totals.

        Args:
            lines: how many were written to the stream.
        """
        self._note_chains(self._open)
        totals = {"chains": self.chains, "events": self.events, "lines": lines, "faults": dict(self.faults)}
        self._note(self.events, 2, "totals", totals)
        self.flush()

    def _note_chains(self, events: _Open) -> None:
        if not events.chain.size:
            return
        events = events.take(np.lexsort((events.step, events.chain)))
        begins = np.flatnonzero(np.diff(events.chain, prepend=-1)).tolist()
        chains, kinds, steps = events.chain.tolist(), events.kind.tolist(), events.step.tolist()
        numbers, lasts = events.number.tolist(), events.last.tolist()
        ids, times = _texts(events.id, UUID_WIDTH), _texts(timestamps(events.time), TIMESTAMP_WIDTH)
        for begin, end in pairwise([*begins, len(chains)]):
            path = [self._places[kind] for kind in kinds[begin:end]]
            self._note(
                max(numbers[begin:end]),
                0,
                "chain",
                {
                    "index": chains[begin],
                    "chain": path[0].chain,
                    "correlation_id": ids[begin] if steps[begin] == 0 else None,
                    "outcome": _outcome(path, ended=any(lasts[begin:end])),
                    "path": [place.state for place in path],
                    "times": times[begin:end],
                    "event_ids": ids[begin:end],
                },
            )
        self.chains += len(begins)

    def _note(self, number: int, rank: int, record: str, fields: Mapping[str, Any]) -> None:
        """A line about an event of the clean stream; the rank orders several about the same."""
        line = orjson.dumps({"record": record, **fields}, option=orjson.OPT_APPEND_NEWLINE | orjson.OPT_UTC_Z)
        self._lines.append((number, rank, line))


class _Open(NamedTuple):
    """Events of chains that have not ended, as columns."""

    number: Integers
    """In the clean stream."""
    chain: Integers
    step: Integers
    kind: Integers
    time: Integers
    last: Integers
    id: Rows

    @classmethod
    def none(cls) -> _Open:
        nothing = np.empty(0, np.int64)
        return cls(nothing, nothing, nothing, nothing, nothing, nothing, np.empty(0, UUID_ROW))

    @classmethod
    def of(cls, block: Block, first: int) -> _Open:
        table = block.table
        ids = windows(np.frombuffer(block.buffer, np.uint8), UUID_ROW)[block.spans()[0] + ID_AT]
        return cls(
            np.arange(first, first + len(table)), table.chain, table.step, table.kind, table.time, table.last, ids
        )

    def joined(self, other: _Open) -> _Open:
        columns: list[Any] = [np.concatenate(pair) for pair in zip(self, other, strict=True)]
        return _Open(*columns)

    def take(self, rows: Any) -> _Open:
        """Some of the events, by number or by a mask."""
        return _Open(*(column[rows] for column in self))


def _outcome(path: Sequence[Place], *, ended: bool) -> str | None:
    """How a chain ended, whatever came of those that it caused; None if its events were cut off."""
    if not ended:
        return None
    return next((place.outcome for place in path if place.chain == path[0].chain and place.outcome), "abandoned")


def _texts(rows: Rows, width: int) -> list[str]:
    found: list[str] = rows.view(f"S{width}").astype(f"U{width}").tolist()
    return found
