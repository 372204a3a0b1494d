"""Where events pass through when their time has come: what a paced run needs to know of faults."""

from __future__ import annotations

from typing import Protocol

from eventbus.chains.faults.splicing import FaultyBlock
from eventbus.chains.writing.block import Block

ENDLESS = 1 << 62
"""A time that nothing waits for, microseconds since the Unix epoch."""


class Stage(Protocol):
    """Changes events, leaves some out, or holds them back."""

    @property
    def next_due(self) -> int | None:
        """The first time, microseconds since the Unix epoch, that something held waits for."""
        ...

    def inject(self, block: Block, until: int) -> Block | FaultyBlock:
        """What comes of the next events, and what was held up to a time before that of any later event."""
        ...

    def finish(self) -> None:
        """No further event comes: what waits for one is due."""
        ...

    def release(self, until: int) -> Block | FaultyBlock:
        """What was held up to a time, without further events."""
        ...

    def close(self) -> None:
        """The run has ended; what is still held never comes."""
        ...


class Unchanged:
    """Lets everything through."""

    next_due = None

    def inject(self, block: Block, until: int) -> Block:
        return block

    def finish(self) -> None:
        """Nothing is held."""

    def release(self, until: int) -> Block:
        raise AssertionError("nothing is held")

    def close(self) -> None:
        """Nothing is held."""
