"""What the two models of arrivals share: chains are made in batches, each with a time before which all is made."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple, Protocol

from eventbus.chains.randomness import Integers
from eventbus.chains.table import EventTable

NEVER = (1 << 63) - 1
"""Nanoseconds since the Unix epoch, in the year 2262; what is said to happen then does not happen."""
FIRST_BATCH = 16
"""Chains in the first batch; each is twice the one before, so that the first event comes at once."""


class RunBounds(NamedTuple):
    """Which chains are wanted, and how many at a time."""

    chains: int | None = None
    """How many the run has; None: endless."""
    until: int | None = None
    """No chain begins at or after this time, nanoseconds since the Unix epoch."""
    since: int | None = None
    """Chains that are over by this time may be left out, microseconds since the Unix epoch."""
    longest: int = 0
    """No chain lasts longer, microseconds."""
    size: int = 4096
    """Chains in a batch; changes no event."""


class ChainBatch(NamedTuple):
    """Some chains."""

    made: EventTable
    """Their events, in no order."""
    complete: int
    """No later batch has an earlier event, microseconds since the Unix epoch."""


class ExpandChains(Protocol):
    """Makes all events of chains, in no order."""

    def __call__(self, chain: Integers, begins: Integers, since: int | None = None) -> EventTable:
        """The events.

        Args:
            chain: indices of the chains.
            begins: of the chains, microseconds since the Unix epoch.
            since: leave out chains that are surely over by this time.
        """
        ...


class ArrivalProcess(Protocol):
    """When the chains of a run begin."""

    def batches(self, expand: ExpandChains, bounds: RunBounds) -> Iterator[ChainBatch]:
        """All chains, roughly in the order in which they begin."""
        ...

    def one(self, expand: ExpandChains, index: int) -> int:
        """When a chain begins, microseconds since the Unix epoch.

        Raises:
            InvalidSetting: it never does.
        """
        ...

    def expected(self, expand: ExpandChains, time: int) -> float:
        """How many chains begin before a time, microseconds since the Unix epoch, on average."""
        ...
