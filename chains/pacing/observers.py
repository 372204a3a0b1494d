"""Observers of a paced run: their protocol, and one that computes the SHA-256 of what was published."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple, Protocol

from eventbus.chains.randomness import Integers
from eventbus.chains.table import EventTable
from eventbus.record import ProducerRecord


class PublishedBatch(NamedTuple):
    """Events that the bus has acknowledged together."""

    records: Sequence[ProducerRecord]
    emitters: Integers
    """Indices of the records' emitters in the plan."""
    events: EventTable
    """The intended events: faults change, drop and duplicate records only."""
    lags: Integers
    """Microseconds from the intended time of each record to the acknowledgement; empty at unlimited speed."""
    at: int
    """Time of the acknowledgement by the run's clock, microseconds since the Unix epoch."""


class Observer(Protocol):
    """Is called with every published batch, in order; does not change the run."""

    def published(self, batch: PublishedBatch) -> None: ...


SMALL = 1 << 16
"""Texts below this size are hashed faster than they are handed to another thread, bytes."""
MAX_PENDING = 8
"""Texts that may wait for the other thread."""


class Digest:
    """The SHA-256 of the events as JSON lines, as `eventbus generate` writes them.

    Runs with the same digest published the same events in the same order. A second thread computes it.
    """

    def __init__(self) -> None:
        self._hash = hashlib.sha256()
        self._executor = ThreadPoolExecutor(1)
        self._pending: deque[Future[None]] = deque()

    def published(self, batch: PublishedBatch) -> None:
        lines = [b"null" if record.value is None else record.value for record in batch.records]
        lines.append(b"")
        self.add(b"\n".join(lines))

    def add(self, text: bytes) -> None:
        """Appends lines."""
        while self._pending and (self._pending[0].done() or len(self._pending) == MAX_PENDING):
            self._pending.popleft().result()
        if not self._pending and len(text) < SMALL:
            self._hash.update(text)
        else:
            self._pending.append(self._executor.submit(self._hash.update, text))

    def hexdigest(self) -> str:
        """The digest of everything so far."""
        while self._pending:
            self._pending.popleft().result()
        return self._hash.hexdigest()
