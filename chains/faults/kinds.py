"""What can go wrong on purpose: the kinds of faults, and how often, how far and where one strikes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from eventbus.catalog.model.visitors import full_name
from eventbus.chains.errors import InvalidSetting

Unit = Literal["time", "places"]
SECOND = 1_000_000


class Kind(NamedTuple):
    """One kind of fault."""

    effect: str
    """What it does to an event."""
    unit: Unit | None = None
    """Of its bounds: microseconds, or places in the stream; None: it has none."""
    bounds: tuple[int, int] = (0, 0)
    """By default."""


KINDS = {
    "drop": Kind("the event is left out"),
    "missing-started": Kind("an event whose action is `started` is left out"),
    "tombstone": Kind("null stands in its place"),
    "poison": Kind("bytes that are no text stand in its place"),
    "corrupt": Kind("its JSON breaks off"),
    "schema": Kind("one payload field is missing, unknown or of a wrong type"),
    "wrong-tenant": Kind("it names another tenant than its chain"),
    "orphan-causation": Kind("its cause is an event that never was"),
    "completed-before-started": Kind("the end of a chain has a time before its cause's", "time", (1000, SECOND)),
    "clock-skew": Kind("its time is off by as much as its source's clock", "time", (SECOND // 10, 30 * SECOND)),
    "changed-duplicate": Kind("it comes again, with the same id and another content", "time", (0, 5 * SECOND)),
    "duplicate": Kind("it comes again, byte for byte", "time", (0, 5 * SECOND)),
    "late": Kind("it comes later than its time says", "time", (SECOND, 30 * SECOND)),
    "reorder": Kind("it changes places with those behind it", "places", (1, 8)),
}
"""Every kind. An event has one fault at most: that of the first kind here that strikes it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """A kind of fault at a rate.

    Raises:
        InvalidSetting: no such kind, a rate that is no share, or bounds that are none or that the kind does not have.
    """

    kind: str
    """One of `KINDS`."""
    rate: float
    """Share of the events it could strike: 0 to 1."""
    bounds: tuple[int, int] | None = None
    """How far it goes, drawn evenly between them; microseconds or places. None: the kind's own."""
    chains: tuple[str, ...] = ()
    """Only events of these; none: of all."""
    event_types: tuple[str, ...] = ()
    """Only these, or what their short names mean; none: all."""
    fields: tuple[str, ...] = ()
    """Of the payload, for `schema`: only these; none: all."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "event_types", tuple(map(full_name, self.event_types)))
        if self.kind not in KINDS:
            raise InvalidSetting(f"no fault {self.kind!r}; there are: {', '.join(KINDS)}")
        if not 0 <= self.rate <= 1:
            raise InvalidSetting(f"expected a rate of 0 to 1 for {self.kind}, got {self.rate}")
        if self.fields and self.kind != "schema":
            raise InvalidSetting(f"only the fault schema is about fields, not {self.kind}")
        if self.bounds is not None:
            self._check(*self.bounds)

    def _check(self, low: int, high: int) -> None:
        if KINDS[self.kind].unit is None:
            raise InvalidSetting(f"the fault {self.kind} has no bounds")
        if not 0 <= low <= high < 1 << 40:
            raise InvalidSetting(f"expected bounds that rise from 0 or more for {self.kind}, got {low} to {high}")

    @property
    def span(self) -> tuple[int, int]:
        """Its bounds, or else those of its kind."""
        return self.bounds or KINDS[self.kind].bounds


def by_precedence(faults: Sequence[Fault]) -> list[Fault]:
    """The same faults, in the order of `KINDS`: that in which they are given does not matter."""
    order = list(KINDS)
    return sorted(faults, key=lambda fault: (order.index(fault.kind), fault.chains, fault.event_types, fault.fields))
