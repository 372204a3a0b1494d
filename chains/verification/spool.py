"""Keeps the events of a stream by chain, in little memory: beyond some number of them, in a temporary file.

Nearly all checks look at one chain at a time. So events go to buckets by the hash of their chain, and the buckets are
read back one after the other. What concerns all events is kept as columns: their times, for the order of the stream,
and a hash of every id with the bucket that has it, which finds ids that occur in more than one bucket.
"""

from __future__ import annotations

import marshal
import tempfile
import weakref
from array import array
from bisect import insort
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from eventbus.chains.randomness import Integers

BUCKETS = 256
MAX_IN_MEMORY = 100_000
"""Values of a spool that wait for being written to the file."""
HASH_MASK = ((1 << 64) - 1) ^ (BUCKETS - 1)
"""The bits of an id's hash in a key; the others are the number of the bucket."""
NO_EVENT = -(1 << 63)
"""Instead of the time of a line that is not an event."""
EARLIEST_CHAINS = 25
"""Chains from which the start of a run is estimated."""
CACHED_BUCKETS = 8
"""Buckets of a file that are kept for `SpooledEvents.elsewhere`."""


class EventSummary(NamedTuple):
    """An event of the stream, without its payload."""

    line: int
    event_id: str
    event_type: str
    time: int
    """Microseconds since the Unix epoch."""
    correlation_id: str
    causation_id: str | None
    tenant_id: str
    digest: int
    """Of the whole line."""
    landing: str | None = None
    """Of the first event of a visitor's session: the path of its page."""


class Spool:
    """Tuples of texts and numbers in buckets, each in the order in which they were added.

    Beyond `MAX_IN_MEMORY`, they are written to a temporary file, which vanishes with the spool.
    """

    def __init__(self) -> None:
        self._pending: list[list[tuple[Any, ...]]] = [[] for _ in range(BUCKETS)]
        self._pending_values = 0
        self._file: Any = None
        #: By bucket: where in the file its parts are, and their sizes.
        self._parts: list[list[tuple[int, int]]] = [[] for _ in range(BUCKETS)]

    @property
    def is_in_memory(self) -> bool:
        return self._file is None

    def add(self, bucket: int, value: tuple[Any, ...]) -> None:
        """Add a value.

        Raises:
            OSError: the temporary file cannot be written.
        """
        self._pending[bucket].append(value)
        self._pending_values += 1
        if self._pending_values >= MAX_IN_MEMORY:
            self._write()

    def bucket(self, number: int) -> Iterator[tuple[Any, ...]]:
        """The values of a bucket."""
        for position, size in self._parts[number]:
            self._file.seek(position)
            yield from marshal.loads(self._file.read(size))
        yield from self._pending[number]

    def _write(self) -> None:
        if self._file is None:
            self._file = tempfile.TemporaryFile(prefix="eventbus-verify-")  # noqa: SIM115 - closed with the spool
            weakref.finalize(self, self._file.close)
        position = self._file.seek(0, 2)
        for number, values in enumerate(self._pending):
            if values:
                size = self._file.write(marshal.dumps(values))
                self._parts[number].append((position, size))
                position += size
                self._pending[number] = []
        self._pending_values = 0


def bucket_of(correlation_id: str) -> int:
    """The bucket of a chain; differs between processes."""
    return hash(correlation_id) % BUCKETS


class SpooledEvents:
    """The events of a stream, copies included."""

    def __init__(self) -> None:
        self._spool = Spool()
        self._count = 0
        #: By line, from 0: the time of its event.
        self._times = array("q")
        self._keys = array("Q")
        self._known_texts: dict[str, str] = {}
        #: The smallest correlation ids.
        self.earliest: list[str] = []
        self._rank: Integers | None = None
        self._sorted_keys: NDArray[np.uint64] = np.empty(0, np.uint64)
        self._cross: frozenset[int] = frozenset()
        self._cached: Callable[[int], dict[str, list[EventSummary]]] = self._by_id

    def __len__(self) -> int:
        return self._count

    @property
    def lines(self) -> int:
        """How many lines there are up to the last event, or in all where they are sorted."""
        return len(self._times)

    def add(self, event: EventSummary) -> None:
        """Add the next event of the stream; lines rise."""
        bucket = bucket_of(event.correlation_id)
        known = self._known_texts
        types, tenant = (known.setdefault(text, text) for text in (event.event_type, event.tenant_id))
        self._spool.add(bucket, (*event[:2], types, *event[3:6], tenant, *event[7:]))
        self._count += 1
        self._times.extend([NO_EVENT] * (event.line - 1 - len(self._times)))
        self._times.append(event.time)
        self._keys.append(hash(event.event_id) & HASH_MASK | bucket)
        if len(self.earliest) < EARLIEST_CHAINS or event.correlation_id < self.earliest[-1]:
            self._add_earliest(event.correlation_id)

    def complete(self, sent: array[int] | None = None) -> None:
        """No further event comes.

        Args:
            sent: by line, what the events are sorted by; None: by line.
        """
        if sent is not None:
            self._times.extend([NO_EVENT] * (len(sent) - len(self._times)))
            order = np.argsort(np.frombuffer(sent, np.int64), kind="stable")
            self._rank = np.empty_like(order)
            self._rank[order] = np.arange(order.size)
        keys = np.frombuffer(self._keys, np.uint64) if self._keys else np.empty(0, np.uint64)
        keys.sort()
        self._sorted_keys = keys
        hashes = keys[1:] & np.uint64(HASH_MASK)
        crossing = (hashes == keys[:-1] & np.uint64(HASH_MASK)) & (keys[1:] != keys[:-1])
        self._cross = frozenset(hashes[crossing].tolist())
        self._cached = lru_cache(None if self._spool.is_in_memory else CACHED_BUCKETS)(self._by_id)

    def rank(self, line: int) -> int:
        """The position of a line's event in the order of the stream."""
        return line if self._rank is None else int(self._rank[line - 1])

    def bucket(self, number: int) -> list[EventSummary]:
        """The events of the chains in a bucket, in the order of the stream."""
        events = list(map(EventSummary._make, self._spool.bucket(number)))
        return events if self._rank is None else sorted(events, key=lambda event: self.rank(event.line))

    def is_elsewhere(self, event_id: str) -> bool:
        """Whether an id occurs in more than one bucket; seldom also true if it does not."""
        return bool(self._cross) and hash(event_id) & HASH_MASK in self._cross

    def elsewhere(self, event_id: str, bucket: int) -> list[EventSummary]:
        """The events with an id in all other buckets, in the order of the stream."""
        key = hash(event_id) & HASH_MASK
        events: list[EventSummary] = []
        first, last = self._sorted_keys.searchsorted(np.array([key, key | (BUCKETS - 1)], np.uint64)).tolist()
        for number in np.unique(self._sorted_keys[first : last + 1] ^ np.uint64(key)).tolist():
            if number < BUCKETS and number != bucket:
                events += self._cached(number).get(event_id, [])
        return sorted(events, key=lambda event: self.rank(event.line))

    def late(self, is_left_out: bytearray) -> Iterator[tuple[int, int, int]]:
        """Events that come after later ones: their line, how many later ones, and by how many microseconds.

        Args:
            is_left_out: by line, from 0: 1 if its event does not count.
        """
        times = np.frombuffer(self._times, np.int64) if self._times else np.empty(0, np.int64)
        counts = np.frombuffer(is_left_out, np.uint8) == 0
        counts &= times != NO_EVENT
        lines = np.flatnonzero(counts) if self._rank is None else np.argsort(self._rank)
        lines = lines if self._rank is None else lines[counts[lines]]
        times = times[lines]
        latest = np.maximum.accumulate(times)
        is_late = times < latest
        rows = np.flatnonzero(is_late)
        if not rows.size:
            return
        in_order = times[~is_late]
        before = rows - np.arange(rows.size)  # of those in order
        places = before - np.minimum(in_order.searchsorted(times[rows], side="right"), before)
        columns = (lines[rows] + 1, places, latest[rows] - times[rows])
        yield from zip(*(column.tolist() for column in columns), strict=True)

    def with_lines(self, lines: Iterable[int]) -> dict[int, EventSummary]:
        """The events of lines."""
        wanted = set(lines)
        buckets = range(BUCKETS) if wanted else range(0)
        return {
            value[0]: EventSummary._make(value)
            for number in buckets
            for value in self._spool.bucket(number)
            if value[0] in wanted
        }

    def _by_id(self, number: int) -> dict[str, list[EventSummary]]:
        events: dict[str, list[EventSummary]] = {}
        for event in self.bucket(number):
            events.setdefault(event.event_id, []).append(event)
        return events

    def _add_earliest(self, correlation_id: str) -> None:
        if correlation_id not in self.earliest:
            insort(self.earliest, correlation_id)
            del self.earliest[EARLIEST_CHAINS:]
