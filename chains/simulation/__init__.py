"""Simulates chains: which events a chain has, and when."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from eventbus.catalog import Chain
from eventbus.chains.table import EventTable


class Simulator(Protocol):
    """Simulates many chains of one name; each depends on its own random key alone."""

    chain: Chain
    span: int
    """The longest time from a chain's first event to its last, microseconds."""

    def events(self, roots: EventTable, root: int) -> Iterator[EventTable]:
        """All events of some chains, in no order; the last one of each chain is marked as terminal.

        Args:
            roots: the first events of the chains, without their emitters; may be modified.
            root: the random key of the run.
        """
        ...
