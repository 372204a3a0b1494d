"""Observers of a paced run: what they are told, and one that computes the SHA-256 of what was published."""

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
    """Events that the bus has taken together."""

    records: Sequence[ProducerRecord]
    emitters: Integers
    """Of the records: indices of their emitters in the plan."""
    events: EventTable
    """As they were meant to be: faults change the records only, leave some out and repeat others."""
    lags: Integers
    """Microseconds from the intended time of each record to the acknowledgement; empty at unlimited speed."""
    at: int
    """Of the acknowledgement by the run's clock, microseconds since the Unix epoch."""


class Observer(Protocol):
    """Is told of everything that the bus has taken, in that order."""

    def published(self, batch: PublishedBatch) -> None: ...


AT_ONCE = 1 << 16
"""Bytes that are digested in less time than another thread takes to begin."""


AHEAD = 8
"""Texts that may wait for the other thread."""


class Digest:
    """Digests events as JSON lines, as `eventbus generate` writes them; a second thread does the work."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()
        self._beside = ThreadPoolExecutor(1)
        self._waiting: deque[Future[None]] = deque()

    def published(self, batch: PublishedBatch) -> None:
        lines = [b"null" if record.value is None else record.value for record in batch.records]
        lines.append(b"")
        self.add(b"\n".join(lines))

    def add(self, text: bytes) -> None:
        """Digest lines behind those before."""
        while self._waiting and (self._waiting[0].done() or len(self._waiting) == AHEAD):
            self._waiting.popleft().result()
        if not self._waiting and len(text) < AT_ONCE:
            self._hash.update(text)
        else:
            self._waiting.append(self._beside.submit(self._hash.update, text))

    def hexdigest(self) -> str:
        """Of everything so far."""
        while self._waiting:
            self._waiting.popleft().result()
        return self._hash.hexdigest()
