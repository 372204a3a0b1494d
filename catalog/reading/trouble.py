"""A scenario's `faults` and `phases`: what goes wrong, and when."""

from __future__ import annotations

from itertools import pairwise

from eventbus.catalog.catalog import Catalog
from eventbus.catalog.fault_settings import FAULTS, FaultSetting
from eventbus.catalog.phases import Phase
from eventbus.catalog.reading import leniently
from eventbus.catalog.reading.leniently import factor, names
from eventbus.catalog.reading.source import Node

FAULT = ("kind", "rate", "min", "max", "chain", "type", "field")
PHASE = ("at", "failed", "delay", "chains")
MICROSECONDS = 1_000_000
FARTHEST = 1 << 40
"""Microseconds, or places."""


def read_faults(node: Node, catalog: Catalog) -> tuple[FaultSetting, ...]:
    """A list of `{kind: late, rate: 0.01, max: 10s, chain: NAME}`."""
    return tuple(_fault(item, catalog) for item in node.items())


def read_phases(node: Node, catalog: Catalog) -> tuple[Phase, ...]:
    """A list of `{at: 2m, failed: 6, delay: 3, chains: [NAME]}`."""
    items, mistakes = node.items(), len(node.mistakes)
    phases = tuple(_phase(item, catalog) for item in items)
    for item, (before, phase) in zip(items[1:], pairwise(phases), strict=False):
        if phase.at <= before.at and len(node.mistakes) == mistakes:
            item.complain(f"expected a later moment than that of the phase before, {before.at:g} s, got {phase.at:g} s")
    return phases


def _fault(node: Node, catalog: Catalog) -> FaultSetting:
    members = node.members(FAULT, required=("kind", "rate"))
    kind = members["kind"].one_of(tuple(FAULTS)) if "kind" in members else None
    rate = factor(members, "rate")
    if rate > 1:
        members["rate"].complain(f"expected a rate of 0 to 1, got {rate:g}")
    low, high = (_bound(members[name], kind) if kind and name in members else None for name in ("min", "max"))
    if low is not None and high is not None and high < low:
        members["max"].complain("expected a max that is not below min")
    if kind and kind != "schema" and "field" in members:
        members["field"].complain(f"only the fault schema is about fields, not {kind}")
    return FaultSetting(
        kind=kind or "drop",
        rate=rate,
        low=low,
        high=high,
        chains=names(members["chain"], catalog.chains, "chain") if "chain" in members else (),
        event_types=names(members["type"], catalog.events, "event type") if "type" in members else (),
        fields=_texts(members["field"]) if "field" in members else (),
    )


def _bound(node: Node, kind: str) -> int | None:
    """Microseconds, or places in the stream."""
    unit = FAULTS[kind]
    if unit is None:
        node.complain(f"the fault {kind} has no bounds")
        return None
    number = leniently.duration(node) if unit == "time" else leniently.whole(node)
    if number is None:
        return None
    bound = round(number * MICROSECONDS) if unit == "time" else int(number)
    if not 0 <= bound < FARTHEST:
        node.complain(f"expected a bound of 0 or more, below {FARTHEST:,}, got {number:g}")
    return bound


def _texts(node: Node) -> tuple[str, ...]:
    return tuple(item.text() or "" for item in (node.items() if node.is_list else [node]))


def _phase(node: Node, catalog: Catalog) -> Phase:
    members = node.members(PHASE, required=("at",))
    at = leniently.duration(members["at"]) if "at" in members else None
    if at is not None and at < 0:
        members["at"].complain(f"expected 0 s or later, got {at:g}")
    delay = factor(members, "delay")
    if delay == 0:
        members["delay"].complain("expected a factor above 0, got 0")
    return Phase(
        at=at or 0.0,
        failed=factor(members, "failed"),
        delay=delay,
        chains=names(members["chains"], catalog.chains, "chain") if "chains" in members else (),
    )
