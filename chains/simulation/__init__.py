"""What makes the events of one kind of chain."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from eventbus.catalog import Chain
from eventbus.chains.table import EventTable


class Simulator(Protocol):
    """Decides which events chains of one kind have, and when; each chain by itself, from its key alone."""

    chain: Chain
    span: int
    """The longest time from a chain's first event to its last, microseconds."""

    def events(self, roots: EventTable, root: int) -> Iterator[EventTable]:
        """All events of chains, in no order; the last one of each is marked.

        Args:
            roots: their first events without the kind; may be written to.
            root: the random key of the run.
        """
        ...
