"""What an emitter stands for: the chain and the state that its events come from."""

from __future__ import annotations

from typing import NamedTuple

from eventbus.catalog.model.chains import Outcome
from eventbus.chains.plan import Plan
from eventbus.chains.writing.emitter import Emitter
from eventbus.chains.writing.fields import Field


class Place(NamedTuple):
    """Where in the catalog an event comes from."""

    chain: str
    state: str
    event_type: str
    is_root: bool
    ends_chain: bool
    outcome: Outcome | None
    correlation_at: int
    """Where in an event's text its correlation id begins."""
    timestamp_at: int
    causation_at: int | None
    """None on a root."""


def places(plan: Plan) -> list[Place]:
    """The place of each emitter of a plan."""
    return [_place(emitter) for emitter in plan.emitters]


def _place(emitter: Emitter) -> Place:
    at = {gap.field: gap.at for gap in emitter.gaps}
    return Place(
        chain=emitter.chain,
        state=emitter.state.name,
        event_type=emitter.event_type,
        is_root=emitter.is_root,
        ends_chain=emitter.state.outcome is not None,
        outcome=emitter.state.outcome,
        correlation_at=emitter.correlation_at,
        timestamp_at=at[Field.TIMESTAMP],
        causation_at=at.get(Field.CAUSATION_ID),
    )
