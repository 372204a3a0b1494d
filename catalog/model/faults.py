"""Faults of a run: the kinds there are, and one kind's rate, bounds and scope."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from eventbus.catalog.model.visitors import full_name

SECOND = 1_000_000
"""Microseconds."""
MAX_BOUND = (1 << 40) - 1
"""Of a fault's bounds, microseconds or places."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultSpec:
    """What a scenario or an option may say about a kind of fault besides its rate and scope."""

    unit: Literal["time", "places"] | None = None
    """Of the bounds: microseconds, or places in the stream. None: the kind has no bounds."""
    bounds: tuple[int, int] = (0, 0)
    """Used where none are given."""
    has_fields: bool = False
    """Whether it can be limited to some fields of the payload."""


PLAIN = FaultSpec()

FAULT_KINDS = {
    "drop": PLAIN,
    "missing-started": PLAIN,
    "tombstone": PLAIN,
    "poison": PLAIN,
    "corrupt": PLAIN,
    "truncate": PLAIN,
    "schema": FaultSpec(has_fields=True),
    "wrong-tenant": PLAIN,
    "orphan-causation": PLAIN,
    "completed-before-started": FaultSpec(unit="time", bounds=(1000, SECOND)),
    "clock-skew": FaultSpec(unit="time", bounds=(SECOND // 10, 30 * SECOND)),
    "changed-duplicate": FaultSpec(unit="time", bounds=(0, 5 * SECOND)),
    "duplicate": FaultSpec(unit="time", bounds=(0, 5 * SECOND)),
    "late": FaultSpec(unit="time", bounds=(SECOND, 30 * SECOND)),
    "reorder": FaultSpec(unit="places", bounds=(1, 8)),
}
"""Every kind, in order of precedence: an event that several faults select has the first of them only.

What a kind does is a class of the same name in `eventbus.chains.faults.kinds`.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """A kind of fault, how often it strikes, how far it goes, and which events it is limited to."""

    kind: str
    """One of `FAULT_KINDS`."""
    rate: float
    """Share of the eligible events: 0 to 1."""
    bounds: tuple[int, int] | None = None
    """Microseconds or places; each event's amount is uniform between them, both included. None: the kind's own."""
    chains: tuple[str, ...] = ()
    """Limit to events of these chains; none: all."""
    event_types: tuple[str, ...] = ()
    """Limit to these event types, which may be short names; none: all."""
    fields: tuple[str, ...] = ()
    """Limit to these fields of the payload; none: all."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "event_types", tuple(map(full_name, self.event_types)))

    @property
    def effective_bounds(self) -> tuple[int, int]:
        """The fault's bounds, or those of its kind."""
        return self.bounds or FAULT_KINDS[self.kind].bounds


def complete_bounds(kind: str, low: int | None, high: int | None) -> tuple[int, int] | None:
    """Fill in a missing bound with the kind's own, moved as far as the given one requires.

    Returns:
        None if neither is given.
    """
    if low is None and high is None:
        return None
    default_low, default_high = FAULT_KINDS[kind].bounds
    if low is None:
        low = default_low if high is None else min(default_low, high)
    return low, max(default_high, low) if high is None else high
