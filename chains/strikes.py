"""Which events faults strike: worked out from columns, by the identity of each event.

Each event has 64 random bits of its own; multiplied by an odd number that belongs to a kind of fault, they are as good
as others, drawn for this kind alone, and cost a fifth. So no kind depends on another one, nor on where blocks begin.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from catalog import Catalog
from catalog.words import suggestion
from chains.errors import InvalidSetting
from chains.faults import Fault
from chains.places import Place
from chains.randomness import Integers, Words, draw, purpose
from chains.table import EventTable

NONE = -1
STRIKE = purpose("fault")


@dataclass(frozen=True)
class Armed:
    """A fault with all that is worked out before the first event."""

    fault: Fault
    eligible: npt.NDArray[np.bool_]
    """By emitter."""
    everywhere: bool
    """All emitters are eligible."""
    factor: np.uint64
    highest: np.uint64 | None
    """Of an event's number that is struck; None: no event is."""
    purposes: tuple[int, ...]
    """Of the draws that decide how far it goes, and the rest."""

    @classmethod
    def of(cls, fault: Fault, places: Sequence[Place], catalog: Catalog) -> Armed:
        """Raises InvalidSetting: the scope leaves no event that it could strike."""
        _check_scope(fault, places)
        eligible = np.array([_eligible(fault, place, catalog) for place in places])
        if not eligible.any():
            raise InvalidSetting(f"the fault {fault.kind} finds no event to strike: its scope has none that it could")
        highest = round(fault.rate * (1 << 64)) - 1
        return cls(
            fault,
            eligible,
            bool(eligible.all()),
            np.uint64(purpose(f"fault/{fault.kind}") | 1),
            np.uint64(highest) if highest >= 0 else None,
            tuple(purpose(f"fault/{fault.kind}{part}") for part in ("/amount", "/word")),
        )

    def struck(self, numbers: Words, kind: Integers) -> Integers:
        """The rows that it strikes."""
        if self.highest is None:
            return np.empty(0, np.int64)
        rows = np.flatnonzero(numbers * self.factor <= self.highest)
        return rows if self.everywhere else rows[self.eligible.take(kind.take(rows))]


def strikes(faults: Sequence[Armed], table: EventTable, keys: Words) -> Integers:
    """The number of the fault that strikes each event, the first of several, or NONE.

    Args:
        keys: the random keys of the events' chains.
    """
    chosen = np.full(len(table), NONE, np.int64)
    numbers = draw(keys, STRIKE, table.step)
    for number, armed in reversed(list(enumerate(faults))):
        chosen[armed.struck(numbers, table.kind)] = number
    return chosen


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
