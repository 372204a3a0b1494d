"""What an emitter stands for: the chain and the state that its events come from."""

from __future__ import annotations

from typing import NamedTuple

from catalog.model import Outcome
from chains.plan import Plan


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


def places(plan: Plan) -> list[Place]:
    """The place of each emitter of a plan."""
    found: dict[int, Place] = {}
    for planned in plan.chains:
        chain = planned.walk.chain
        for state, kind in [(chain.start, planned.root_kind), *planned.kinds.items()]:
            emitter, here = plan.emitters[kind], chain.states[state]
            is_root = kind == planned.root_kind
            found[kind] = Place(
                chain.name, state, emitter.event_type, is_root, not here.next, here.outcome, emitter.correlation_at
            )
    return [found[kind] for kind in range(len(plan.emitters))]
