"""Selects the events that faults strike, from columns, by the identity of each event.

Every event has 32 random bits for all faults. Multiplied by an odd number of the fault, they become that fault's
own draw, at a fifth of the cost of drawing anew; so no fault's selection depends on another's, nor on block boundaries.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from eventbus.catalog import Catalog
from eventbus.catalog.errors import did_you_mean
from eventbus.catalog.model import FAULT_KINDS, MAX_BOUND, Fault
from eventbus.chains.errors import InvalidSetting
from eventbus.chains.faults.kinds import KINDS
from eventbus.chains.plan import EmitterInfo
from eventbus.chains.randomness import Integers, Words, draw, fraction, purpose
from eventbus.chains.table import EventTable

SELECTION = purpose("fault")


def check_fault(fault: Fault) -> None:
    """Check everything about a fault but its scope.

    Raises:
        InvalidSetting: there is no such kind, the rate is not between 0 and 1, or the kind has no such bounds or no
            fields.
    """
    if fault.kind not in FAULT_KINDS:
        raise InvalidSetting(f"no fault {fault.kind!r}; there are: {', '.join(FAULT_KINDS)}")
    if not 0 <= fault.rate <= 1:
        raise InvalidSetting(f"expected a rate of 0 to 1 for {fault.kind}, got {fault.rate}")
    spec = FAULT_KINDS[fault.kind]
    if fault.fields and not spec.has_fields:
        raise InvalidSetting(f"the fault {fault.kind} has no fields")
    if fault.bounds is None:
        return
    if spec.unit is None:
        raise InvalidSetting(f"the fault {fault.kind} has no bounds")
    low, high = fault.bounds
    if not 0 <= low <= high <= MAX_BOUND:
        raise InvalidSetting(f"expected bounds that rise from 0 or more for {fault.kind}, got {low} to {high}")


def by_precedence(faults: Sequence[Fault]) -> list[Fault]:
    """The faults in the order of `FAULT_KINDS`, whatever order they were given in.

    Raises:
        InvalidSetting: see `check_fault`.
    """
    for fault in faults:
        check_fault(fault)
    order = list(FAULT_KINDS)
    return sorted(
        faults, key=lambda fault: (order.index(fault.kind), _scope(fault), fault.rate, fault.effective_bounds)
    )


def _scope(fault: Fault) -> tuple[tuple[str, str], ...]:
    """What a fault is limited to; equal for equal scopes."""
    limits = ("chain", fault.chains), ("event-type", fault.event_types), ("field", fault.fields)
    return tuple((limit, name) for limit, names in limits for name in sorted(set(names)))


def _factors(faults: Sequence[Fault]) -> Iterator[int]:
    """The odd number of each fault, by its kind and scope; the place of a fault tells those of equal scopes apart."""
    earlier: Counter[tuple[str, tuple[tuple[str, str], ...]]] = Counter()
    for fault in faults:
        scope = _scope(fault)
        names = (name for limit in scope for name in limit)
        yield purpose("fault-factor", fault.kind, *names, str(earlier[fault.kind, scope])) >> 32 | 1
        earlier[fault.kind, scope] += 1


class Selection(NamedTuple):
    """Selected events, by fault, then in the order of the stream."""

    rows: Integers
    faults: Integers
    """Index of the fault that strikes each."""


class FaultSelector:
    """Selects the events that faults strike; what depends on the plan is computed once.

    Args:
        faults: by precedence.
        emitters: of the plan.

    Raises:
        InvalidSetting: a fault's scope has no event that its kind may strike.
    """

    def __init__(self, faults: Sequence[Fault], emitters: Sequence[EmitterInfo], catalog: Catalog) -> None:
        self.faults = faults
        eligible = [_eligible_emitters(fault, emitters, catalog) for fault in faults]
        self._eligible = np.array(eligible, np.bool_).reshape(-1, len(emitters))
        self._factors = np.array(list(_factors(faults)), np.uint32).reshape(-1, 1)
        # odd numbers are never 0, so that a threshold of 0 (a rate of 0) selects nothing
        thresholds = [max(round(fault.rate * (1 << 32)) - 1, 0) for fault in faults]
        self._thresholds = np.array(thresholds, np.uint32).reshape(-1, 1)

    def select(self, events: EventTable, keys: Words) -> Selection:
        """The events that are struck; each by the first of the faults that select it.

        Args:
            keys: the random keys of the events' chains.
        """
        numbers = fraction(draw(keys, SELECTION, events.step)).astype(np.uint32) | np.uint32(1)
        faults, rows = np.nonzero(numbers * self._factors <= self._thresholds)
        eligible = self._eligible[faults, events.emitter.take(rows)]
        faults, rows = faults[eligible], rows[eligible]
        first = np.sort(np.unique(rows, return_index=True)[1])
        return Selection(rows.take(first), faults.take(first))


def _eligible_emitters(fault: Fault, emitters: Sequence[EmitterInfo], catalog: Catalog) -> list[bool]:
    _check_scope(fault, emitters)
    eligible = [_is_eligible(fault, emitter, catalog) for emitter in emitters]
    if not any(eligible):
        raise InvalidSetting(f"the fault {fault.kind} finds no event to strike: nothing in its scope is eligible")
    return eligible


def _check_scope(fault: Fault, emitters: Sequence[EmitterInfo]) -> None:
    for label, names, existing in (
        ("chain", fault.chains, {emitter.chain for emitter in emitters}),
        ("event type", fault.event_types, {emitter.event_type for emitter in emitters}),
    ):
        for name in set(names) - existing:
            raise InvalidSetting(
                f"the run has no {label} {name!r} for the fault {fault.kind}{did_you_mean(name, existing)}"
            )


def _is_eligible(fault: Fault, emitter: EmitterInfo, catalog: Catalog) -> bool:
    if fault.chains and emitter.chain not in fault.chains:
        return False
    if fault.event_types and emitter.event_type not in fault.event_types:
        return False
    if fault.fields and not any(field.name in fault.fields for field in catalog.event_type(emitter.event_type).payload):
        return False
    return KINDS[fault.kind].may_strike(emitter)
