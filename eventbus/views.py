"""Views of a stored chain: a tree of causes and effects, and an explanation in sentences."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Protocol

from eventbus.event import Event, format_timestamp

MICROSECOND = timedelta(microseconds=1)

MAX_NESTING = 100
"""Events nested in the tree: JSON parsers limit nesting (orjson to 254 levels, two for each event)."""

VERDICT_SENTENCES = {
    "conflict": "It both completed and failed.",
    "orphan": "Its request was never seen.",
    "out_of_order": "By their times it ended or started before it was requested, or ended before it started.",
    "unexpected": "It has events that no path of its chain in the catalog has together.",
    "incomplete": "It ended, but events of its path in the catalog are missing.",
}
"""The explanation of each verdict other than `conforms`."""


@dataclass(slots=True)
class ChainTreeNode:
    """An event in the tree of its chain."""

    event: Event
    depth: int
    """Number of causes above it."""
    offset_ms: float
    """Milliseconds since the chain's first event."""
    gap_ms: float | None
    """Milliseconds since its cause; None on a root."""
    effects: list[ChainTreeNode] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        return {
            "depth": self.depth,
            "offset_ms": self.offset_ms,
            "gap_ms": self.gap_ms,
            "event": self.event.to_dict(),
            "effects": [node.to_dict() for node in self.effects],
        }


class ChainView(Protocol):
    """What views need of a stored chain: its aggregate row and all its events."""

    @property
    def correlation_id(self) -> str: ...
    @property
    def chain(self) -> str | None:
        """Name of the chain in the catalog; None if its root belongs to no chain there."""
        ...

    @property
    def tenant_id(self) -> str: ...
    @property
    def state(self) -> str: ...
    @property
    def outcome(self) -> str | None: ...
    @property
    def verdict(self) -> str | None:
        """How the events conform to the catalog: `conforms`, or the deviation."""
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


def chain_dict(chain: ChainView, differences: Sequence[str] = ()) -> dict[str, Any]:
    """A stored chain in its JSON form.

    Args:
        differences: from the nearest path in the catalog, one sentence each.
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


def chain_tree(events: Sequence[Event]) -> list[ChainTreeNode]:
    """The events of a chain as trees, usually one.

    An event whose cause is missing, or comes later in the order given, is a root. Effects of nodes
    deeper than `MAX_NESTING` are attached to their ancestor at that depth, with their true `depth`.

    Args:
        events: in causal order.
    """
    begin = min((event.timestamp for event in events), default=None)
    roots: list[ChainTreeNode] = []
    nodes: dict[str, ChainTreeNode] = {}
    parents: dict[str, ChainTreeNode] = {}
    """By event, the node to which its effects are attached."""
    for event in events:
        cause = nodes.get(event.causation_id or "")
        node = ChainTreeNode(
            event,
            depth=cause.depth + 1 if cause else 0,
            offset_ms=_ms(begin, event.timestamp),
            gap_ms=_ms(cause.event.timestamp, event.timestamp) if cause else None,
        )
        (parents[cause.event.event_id].effects if cause else roots).append(node)
        nodes[event.event_id] = node
        parents[event.event_id] = parents[cause.event.event_id] if cause and node.depth > MAX_NESTING else node
    return roots


def explain(chain: ChainView) -> str:
    """What happened, in a few sentences."""
    sentences = [_outcome_sentence(chain), _failure_sentence(chain), VERDICT_SENTENCES.get(chain.verdict or "", "")]
    return " ".join(sentence for sentence in sentences if sentence)


def _outcome_sentence(chain: ChainView) -> str:
    name, count = chain.chain or "A chain of no known kind", _plural(len(chain.events), "event")
    if chain.outcome is None:
        return f"{name} is in flight: {count} so far{_last(chain.events)}."
    duration = duration_ms(chain)
    sentence = f"{name} {chain.outcome}" + (f" after {duration:,.0f} ms" if duration is not None else "")
    if wait := _longest_wait(chain.events):
        return f"{sentence} with {count}; it waited longest ({wait.gap_ms:,.0f} ms) for {wait.event.event_type}."
    return f"{sentence} with {count}."


def _failure_sentence(chain: ChainView) -> str:
    if chain.outcome != "failed" or not chain.events:
        return ""
    for event in reversed(chain.events):  # the last event may belong to another branch or to a caused chain
        if causes := [str(event.payload[key]) for key in ("error_class", "error_message") if key in event.payload]:
            return f"The cause it gave: {': '.join(causes)}."
    return ""


def _last(events: Sequence[Event]) -> str:
    return f", the last {max(events, key=lambda e: e.timestamp).event_type}" if events else ""


def _longest_wait(events: Sequence[Event]) -> ChainTreeNode | None:
    waits: list[ChainTreeNode] = []
    stack = chain_tree(events)
    while stack:
        node = stack.pop()
        stack.extend(node.effects)
        if node.gap_ms is not None:
            waits.append(node)
    return max(waits, key=lambda node: node.gap_ms or 0.0, default=None)


def duration_ms(chain: ChainView) -> float | None:
    """Milliseconds from the request to the end; None while the chain is in flight."""
    if chain.requested_at is None or chain.ended_at is None:
        return None
    return _ms(chain.requested_at, chain.ended_at)


def _ms(begin: datetime | None, end: datetime) -> float:
    return (end - begin) / MICROSECOND / 1000 if begin else 0.0


def _text(instant: datetime | None) -> str | None:
    return format_timestamp(instant) if instant else None


def _plural(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
