"""Which events faults strike: worked out from columns, by the identity of each event.

Each event has 32 random bits of its own; multiplied by an odd number that belongs to a kind of fault, they are as good
as others, drawn for this kind alone, and cost a fifth. So no kind depends on another one, nor on where blocks begin.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from eventbus.catalog import Catalog
from eventbus.catalog.errors import suggestion
from eventbus.chains.errors import InvalidSetting
from eventbus.chains.faults.kinds import Fault
from eventbus.chains.faults.places import Place
from eventbus.chains.randomness import Integers, Words, draw, fraction, purpose
from eventbus.chains.table import EventTable

STRIKE = purpose("fault")


class Strikes(NamedTuple):
    """Events that are struck, by fault, then in the order of the stream."""

    rows: Integers
    faults: Integers
    """The number of the fault that strikes each."""


class Arsenal:
    """Faults with all that is worked out before the first event.

    Args:
        faults: those that come first win.
        places: of the emitters of a plan.

    Raises:
        InvalidSetting: a fault's scope leaves no event that it could strike.
    """

    def __init__(self, faults: Sequence[Fault], places: Sequence[Place], catalog: Catalog) -> None:
        self.faults = faults
        eligible = [_eligible_places(fault, places, catalog) for fault in faults]
        self._eligible = np.array(eligible, np.bool_).reshape(-1, len(places))
        factors = [purpose(f"fault/{fault.kind}") >> 32 | 1 for fault in faults]
        self._factors = np.array(factors, np.uint32).reshape(-1, 1)
        # at a rate of 0 only the number 0 would be struck, which no product of odd numbers is
        highest = [max(round(fault.rate * (1 << 32)) - 1, 0) for fault in faults]
        self._highest = np.array(highest, np.uint32).reshape(-1, 1)

    def strikes(self, events: EventTable, keys: Words) -> Strikes:
        """The events that are struck; each by one fault, the first of several.

        Args:
            keys: the random keys of the events' chains.
        """
        numbers = fraction(draw(keys, STRIKE, events.step)).astype(np.uint32) | np.uint32(1)
        faults, rows = np.nonzero(numbers * self._factors <= self._highest)
        able = self._eligible[faults, events.kind.take(rows)]
        faults, rows = faults[able], rows[able]
        first = np.sort(np.unique(rows, return_index=True)[1])
        return Strikes(rows.take(first), faults.take(first))


def _eligible_places(fault: Fault, places: Sequence[Place], catalog: Catalog) -> list[bool]:
    _check_scope(fault, places)
    eligible = [_eligible(fault, place, catalog) for place in places]
    if not any(eligible):
        raise InvalidSetting(f"the fault {fault.kind} finds no event to strike: its scope has none that it could")
    return eligible


def _check_scope(fault: Fault, places: Sequence[Place]) -> None:
    for kind, wanted, known in (
        ("chain", fault.chains, {place.chain for place in places}),
        ("event type", fault.event_types, {place.event_type for place in places}),
    ):
        for name in set(wanted) - known:
            raise InvalidSetting(f"the run has no {kind} {name!r} for the fault {fault.kind}{suggestion(name, known)}")


def _eligible(fault: Fault, place: Place, catalog: Catalog) -> bool:
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
