"""A file's `chains` section: one node → one `Chain`."""

from __future__ import annotations

from typing import get_args

from catalog.delays import read_delay
from catalog.model import Chain, Fixed, Outcome, State, Transition, Variable
from catalog.source import Node, text_of

CHAIN = ("description", "weight", "start", "variables", "states", "max_steps")
STATE = ("emits", "next", "total", "outcome")
TRANSITION = ("to", "weight", "delay")
VARIABLE = ("list", "min", "max")
OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)


def read_chain(name: str, node: Node) -> Chain:
    """One chain; what cannot be read is noted, and stands in as something harmless."""
    members = node.members(CHAIN, required=("weight", "start", "states"))
    states = members["states"].mapping() if "states" in members else {}
    variables = members["variables"].mapping() if "variables" in members else {}
    weight = members["weight"].number() if "weight" in members else None
    steps = members["max_steps"].integer() if "max_steps" in members else None
    return Chain(
        name=name,
        weight=1.0 if weight is None else weight,
        description=text_of(members, "description"),
        start=text_of(members, "start"),
        states={state: _state(state, member) for state, member in states.items()},
        variables={variable: _variable(variable, member) for variable, member in variables.items()},
        max_steps=64 if steps is None else steps,
    )


def _variable(name: str, node: Node) -> Variable:
    members = node.members(VARIABLE)
    given = members.keys() & set(VARIABLE)
    if node.is_mapping and given not in ({"list"}, {"min", "max"}):
        node.complain("expected either `list: NAME` or `min: …` and `max: …`")
    return Variable(
        name=name,
        list=text_of(members, "list") or None,
        minimum=members["min"].integer() if "min" in members else None,
        maximum=members["max"].integer() if "max" in members else None,
    )


def _state(name: str, node: Node) -> State:
    members = node.members(STATE, required=("emits",))
    total = members["total"].number() if "total" in members else None
    return State(
        name=name,
        emits=text_of(members, "emits"),
        next=_transitions(members["next"], total or 100.0) if "next" in members else (),
        total=100.0 if total is None else total,
        outcome=members["outcome"].one_of(OUTCOMES) or "completed" if "outcome" in members else None,
    )


def _transitions(node: Node, total: float) -> tuple[Transition, ...]:
    items = [(item, item.members(TRANSITION, required=("to", "delay"))) for item in node.items()]
    weights = [members["weight"].number() if "weight" in members else None for _, members in items]
    for (item, members), weight in zip(items, weights, strict=True):
        if weight is None and "weight" not in members and len(items) > 1 and item.is_mapping:
            item.complain("'weight' is required where a state has several transitions")
    known = sum(weight for weight in weights if weight is not None)
    rest = (total - known) / (weights.count(None) or 1)  # of the only transition, or in place of an unreadable weight
    return tuple(
        Transition(
            to=text_of(members, "to"),
            delay=read_delay(members["delay"]) if "delay" in members else Fixed(value=0),
            weight=rest if weight is None else weight,
        )
        for (_, members), weight in zip(items, weights, strict=True)
    )
