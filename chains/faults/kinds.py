"""What a scenario of the catalog means to a generator."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np

from eventbus.catalog import Catalog
from eventbus.catalog.errors import did_you_mean
from eventbus.catalog.model import FaultSetting, full_name
from eventbus.catalog.scenario import Scenario
from eventbus.chains.errors import InvalidSetting
from eventbus.chains.plan import EmitterInfo
from eventbus.chains.randomness import Integers, Words, draw, fraction, purpose
from eventbus.chains.table import EventTable

# What can go wrong on purpose: the kinds of faults, and how often, how far and where one strikes.


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


# Which events faults strike: worked out from columns, by the identity of each event.
#
# Each event has 32 random bits of its own; multiplied by an odd number of a kind of fault, they are as good
# as others, drawn for this kind alone, and cost a fifth. So no kind depends on another one, nor on where blocks begin.


STRIKE = purpose("fault")


class Selection(NamedTuple):
    """Events that are struck, by fault, then in the order of the stream."""

    rows: Integers
    faults: Integers
    """The number of the fault that strikes each."""


class FaultSelector:
    """Faults with all that is worked out before the first event.

    Args:
        faults: those that come first win.
        places: of the emitters of a plan.

    Raises:
        InvalidSetting: a fault's scope leaves no event that it could strike.
    """

    def __init__(self, faults: Sequence[Fault], places: Sequence[EmitterInfo], catalog: Catalog) -> None:
        self.faults = faults
        eligible = [_eligible_places(fault, places, catalog) for fault in faults]
        self._eligible = np.array(eligible, np.bool_).reshape(-1, len(places))
        factors = [purpose(f"fault/{fault.kind}") >> 32 | 1 for fault in faults]
        self._factors = np.array(factors, np.uint32).reshape(-1, 1)
        # at a rate of 0 only the number 0 would be struck, which no product of odd numbers is
        highest = [max(round(fault.rate * (1 << 32)) - 1, 0) for fault in faults]
        self._highest = np.array(highest, np.uint32).reshape(-1, 1)

    def strikes(self, events: EventTable, keys: Words) -> Selection:
        """The events that are struck; each by one fault, the first of several.

        Args:
            keys: the random keys of the events' chains.
        """
        numbers = fraction(draw(keys, STRIKE, events.step)).astype(np.uint32) | np.uint32(1)
        faults, rows = np.nonzero(numbers * self._factors <= self._highest)
        able = self._eligible[faults, events.emitter.take(rows)]
        faults, rows = faults[able], rows[able]
        first = np.sort(np.unique(rows, return_index=True)[1])
        return Selection(rows.take(first), faults.take(first))


def _eligible_places(fault: Fault, places: Sequence[EmitterInfo], catalog: Catalog) -> list[bool]:
    _check_scope(fault, places)
    eligible = [_eligible(fault, place, catalog) for place in places]
    if not any(eligible):
        raise InvalidSetting(f"the fault {fault.kind} finds no event to strike: its scope has none that it could")
    return eligible


def _check_scope(fault: Fault, places: Sequence[EmitterInfo]) -> None:
    for kind, wanted, known in (
        ("chain", fault.chains, {place.chain for place in places}),
        ("event type", fault.event_types, {place.event_type for place in places}),
    ):
        for name in set(wanted) - known:
            raise InvalidSetting(
                f"the run has no {kind} {name!r} for the fault {fault.kind}{did_you_mean(name, known)}"
            )


def _eligible(fault: Fault, place: EmitterInfo, catalog: Catalog) -> bool:
    if fault.chains and place.chain not in fault.chains:
        return False
    if fault.event_types and place.event_type not in fault.event_types:
        return False
    if fault.fields:
        return any(field.name in fault.fields for field in catalog.event_type(place.event_type).payload)
    if fault.kind == "missing-started":
        return place.event_type.split(".")[-2] == "started"
    if fault.kind == "completed-before-started":
        return place.ends_chain and not place.is_root
    return not (fault.kind == "orphan-causation" and place.is_root)


def faults_of(scenario: Scenario) -> tuple[Fault, ...]:
    """The faults that a scenario wants injected."""
    return tuple(map(_fault, scenario.faults))


def _fault(setting: FaultSetting) -> Fault:
    return Fault(
        kind=setting.kind,
        rate=setting.rate,
        bounds=bounds_of(setting.kind, setting.low, setting.high),
        chains=setting.chains,
        event_types=setting.event_types,
        fields=setting.fields,
    )


def bounds_of(kind: str, low: int | None, high: int | None) -> tuple[int, int] | None:
    """Both bounds of a fault; one that is not given is the kind's own, as far as the other lets it."""
    if low is None and high is None:
        return None
    least, most = KINDS[kind].bounds
    if low is None:
        low = least if high is None else min(least, high)
    return low, max(most, low) if high is None else high
