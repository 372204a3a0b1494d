"""What every destination of a stream offers: records in, and an account that adds up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from eventbus.record import ProducerRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class SinkStatistics:
    """Figures of one moment: accepted = written + omitted + dead + failed + pending."""

    accepted: int = 0
    """Records taken."""
    written: int = 0
    """Records that the destination has."""
    omitted: int = 0
    """Records that the destination has no form for, by its own rules."""
    dead: int = 0
    """Records that could not be written and are kept in the dead-letter file."""
    failed: int = 0
    """Records that could not be written, or whose arrival is unknown, and that are kept nowhere."""
    retried: int = 0
    """Further attempts: records times attempts after the first."""
    dropped: int = 0
    """Records that were not taken, because the queue before the sink was full."""
    waited: float = 0.0
    """Seconds in which the whole stream waited for room in the queue before the sink."""
    trouble: str | None = None
    """What went wrong last."""

    @property
    def pending(self) -> int:
        return self.accepted - self.written - self.omitted - self.dead - self.failed

    @property
    def lost(self) -> int:
        """Records that the destination should have and does not."""
        return self.dead + self.failed + self.dropped

    def to_dict(self) -> dict[str, Any]:
        """For a machine."""
        return {
            "accepted": self.accepted,
            "written": self.written,
            "omitted": self.omitted,
            "dead": self.dead,
            "failed": self.failed,
            "pending": self.pending,
            "retried": self.retried,
            "dropped": self.dropped,
            "waited_seconds": round(self.waited, 3),
            "trouble": self.trouble,
        }


@dataclass(slots=True)
class Tally:
    """The same figures while they are counted."""

    accepted: int = 0
    written: int = 0
    omitted: int = 0
    dead: int = 0
    failed: int = 0
    retried: int = 0
    trouble: str | None = None

    def give_up(self, records: int, reason: str) -> None:
        """Records that nothing more is done about."""
        if records:
            self.accepted += records
            self.failed += records
            self.trouble = reason

    def statistics(self) -> SinkStatistics:
        return SinkStatistics(
            accepted=self.accepted,
            written=self.written,
            omitted=self.omitted,
            dead=self.dead,
            failed=self.failed,
            retried=self.retried,
            trouble=self.trouble,
        )


class Sink(Protocol):
    """A destination. Once it is open, what goes wrong is counted, never raised: one sink does not end a stream."""

    @property
    def name(self) -> str:
        """What it is called in an account."""
        ...

    async def open(self) -> None:
        """Get ready.

        Raises:
            SinkUnusable, EventBusError: nothing can be written there.
        """
        ...

    async def write(self, records: Sequence[ProducerRecord]) -> None:
        """Take records, and wait while there is no room for them. A cancellation leaves them accounted for."""
        ...

    async def flush(self) -> None:
        """Wait until nothing is pending."""
        ...

    async def close(self) -> None:
        """Stop; afterwards nothing is pending: what was has failed, or is dead."""
        ...

    async def give_up(self, records: Sequence[ProducerRecord], reason: str) -> None:
        """Count records as not written, and keep them if there is a place for that."""
        ...

    def statistics(self) -> SinkStatistics: ...
