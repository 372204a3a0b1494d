"""Those who look on while a run is published: they count, digest or print, and change nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from eventbus.chains.randomness import Integers
from eventbus.chains.table import EventTable
from eventbus.record import ProducerRecord


class Published(NamedTuple):
    """Events that the bus has taken together."""

    records: Sequence[ProducerRecord]
    kinds: Integers
    """Of the records: indices of their emitters in the plan."""
    events: EventTable
    """As they were meant to be: faults change the records only, leave some out and repeat others."""
    lags: Integers
    """Microseconds from the intended time of each record to the acknowledgement; empty at unlimited speed."""
    at: int
    """Of the acknowledgement by the run's clock, microseconds since the Unix epoch."""


class Observer(Protocol):
    """Is told of everything that the bus has taken, in that order."""

    def published(self, batch: Published) -> None: ...
