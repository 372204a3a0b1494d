"""A stored chain as people and programs want to see it: a tree of causes and effects, and what there is to say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Protocol

from eventbus.event import Event, format_timestamp

MICROSECOND = timedelta(microseconds=1)

DEEPEST = 100
"""Nesting that every JSON reader takes (ours ends at 254 levels, two for each event)."""

AMISS = {
    "conflict": "It both completed and failed.",
    "orphan": "Its request was never seen.",
    "out_of_order": "By their times it ended or started before it was requested, or ended before it started.",
    "unexpected": "It has events that no path of its kind in the catalog holds together.",
    "incomplete": "It ended, but events of its path in the catalog are missing.",
}
"""What each verdict means that is not as it should be."""


@dataclass(slots=True)
class Node:
    """An event's place in its chain."""

    event: Event
    depth: int
    """Number of causes above it."""
    offset_ms: float
    """Since the chain's first event."""
    gap_ms: float | None
    """Since its cause; None on a root."""
    effects: list[Node] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        return {
            "depth": self.depth,
            "offset_ms": self.offset_ms,
            "gap_ms": self.gap_ms,
            "event": self.event.to_dict(),
            "effects": [node.to_dict() for node in self.effects],
        }


class StoredChain(Protocol):
    """A chain as the store keeps it: its aggregate row and all its events."""

    @property
    def correlation_id(self) -> str: ...
    @property
    def chain(self) -> str | None:
        """Name of the chain in the catalog; None when its root is of no known chain."""
        ...

    @property
    def tenant_id(self) -> str: ...
    @property
    def state(self) -> str: ...
    @property
    def outcome(self) -> str | None: ...
    @property
    def verdict(self) -> str | None:
        """The events judged against the catalog: `conforms`, or what is amiss."""
        ...

    @property
    def requested_at(self) -> datetime | None: ...
    @property
    def started_at(self) -> datetime | None: ...
    @property
    def ended_at(self) -> datetime | None: ...
    @property
    def events(self) -> Sequence[Event]:
        """In causal order: a cause before its effects."""
        ...


def chain_dict(chain: StoredChain, differences: Sequence[str] = ()) -> dict[str, Any]:
    """A stored chain in its JSON form.

    Args:
        differences: from the nearest way that the catalog knows, a sentence each.
    """
    return {
        "correlation_id": chain.correlation_id,
        "chain": chain.chain,
        "tenant_id": chain.tenant_id,
        "state": chain.state,
        "outcome": chain.outcome,
        "verdict": chain.verdict,
        "requested_at": _text(chain.requested_at),
        "started_at": _text(chain.started_at),
        "ended_at": _text(chain.ended_at),
        "duration_ms": duration_ms(chain),
        "event_count": len(chain.events),
        "explanation": " ".join([explain(chain), *differences]),
        "tree": [node.to_dict() for node in chain_tree(chain.events)],
    }


def chain_tree(events: Sequence[Event]) -> list[Node]:
    """The events of one chain as trees, usually one.

    An event whose cause is missing, or comes after it in the order given, is a root of its own. Effects of nodes
    deeper than `DEEPEST` hang on their ancestor at that depth, with their true `depth`.

    Args:
        events: in causal order.
    """
    begin = min((event.timestamp for event in events), default=None)
    roots: list[Node] = []
    nodes: dict[str, Node] = {}
    hang_on: dict[str, Node] = {}
    for event in events:
        cause = nodes.get(event.causation_id or "")
        node = Node(
            event,
            depth=cause.depth + 1 if cause else 0,
            offset_ms=_ms(begin, event.timestamp),
            gap_ms=_ms(cause.event.timestamp, event.timestamp) if cause else None,
        )
        (hang_on[cause.event.event_id].effects if cause else roots).append(node)
        nodes[event.event_id] = node
        hang_on[event.event_id] = hang_on[cause.event.event_id] if cause and node.depth > DEEPEST else node
    return roots


def explain(chain: StoredChain) -> str:
    """What happened, in a few sentences."""
    sentences = [_course(chain), _failure(chain), AMISS.get(chain.verdict or "", "")]
    return " ".join(sentence for sentence in sentences if sentence)


def _course(chain: StoredChain) -> str:
    name, count = chain.chain or "A chain of no known kind", _counted(len(chain.events), "event")
    if chain.outcome is None:
        return f"{name} is in flight: {count} so far{_last(chain.events)}."
    duration = duration_ms(chain)
    sentence = f"{name} {chain.outcome}" + (f" after {duration:,.0f} ms" if duration is not None else "")
    if wait := _longest_wait(chain.events):
        return f"{sentence} with {count}; it waited longest ({wait.gap_ms:,.0f} ms) for {wait.event.event_type}."
    return f"{sentence} with {count}."


def _failure(chain: StoredChain) -> str:
    if chain.outcome != "failed" or not chain.events:
        return ""
    for event in reversed(chain.events):  # the last one may be of something else: a branch, a caused chain
        if words := [str(event.payload[key]) for key in ("error_class", "error_message") if key in event.payload]:
            return f"The cause it gave: {': '.join(words)}."
    return ""


def _last(events: Sequence[Event]) -> str:
    return f", the last {max(events, key=lambda e: e.timestamp).event_type}" if events else ""


def _longest_wait(events: Sequence[Event]) -> Node | None:
    waits: list[Node] = []
    rest = chain_tree(events)
    while rest:
        node = rest.pop()
        rest.extend(node.effects)
        if node.gap_ms is not None:
            waits.append(node)
    return max(waits, key=lambda node: node.gap_ms or 0.0, default=None)


def duration_ms(chain: StoredChain) -> float | None:
    """From the request to the end; None while in flight."""
    if chain.requested_at is None or chain.ended_at is None:
        return None
    return _ms(chain.requested_at, chain.ended_at)


def _ms(begin: datetime | None, end: datetime) -> float:
    return (end - begin) / MICROSECOND / 1000 if begin else 0.0


def _text(when: datetime | None) -> str | None:
    return format_timestamp(when) if when else None


def _counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
