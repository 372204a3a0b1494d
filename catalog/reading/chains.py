"""A file's `chains` section: one node → one `Chain`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import get_args

from eventbus.catalog.model import Chain, Outcome, State, Transition, Variable
from eventbus.catalog.reading.source import Node, text_of
from eventbus.catalog.reading.topology import (
    delay_of,
    flag_of,
    number_of,
    read_causes,
    read_fork,
    read_retry,
    read_timeout,
    read_way,
)
from eventbus.catalog.reading.visitors import read_visitors

CHAIN = ("description", "weight", "start", "variables", "states", "max_steps", "visitors")
STATE = ("emits", "next", "total", "abandon", "timeout", "fork", "compensation", "causes", "outcome")
TRANSITION = ("to", "weight", "delay", "retry", "compensate", "by")
VARIABLE = ("list", "min", "max", "factor", "by", "zipf")
OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)


def read_chain(name: str, node: Node) -> Chain:
    """One chain; what cannot be read is noted, and stands in as something harmless."""
    members = node.members(CHAIN, required=("weight", "start", "states"))
    states = members["states"].mapping() if "states" in members else {}
    variables = members["variables"].mapping() if "variables" in members else {}
    weight = members["weight"].number() if "weight" in members else None
    steps = members["max_steps"].integer() if "max_steps" in members else None
    visitors = read_visitors(members["visitors"]) if "visitors" in members else None
    if visitors and "max_steps" in members:
        members["max_steps"].complain(
            "a chain with `visitors` has as many steps as their behaviour and journeys ask for"
        )
    return Chain(
        name=name,
        weight=1.0 if weight is None else weight,
        description=text_of(members, "description"),
        start=text_of(members, "start"),
        states={state: _state(state, member) for state, member in states.items()},
        variables={variable: _variable(variable, member) for variable, member in variables.items()},
        max_steps=visitors.most_events if visitors else 64 if steps is None else steps,
        visitors=visitors,
    )


def _variable(name: str, node: Node) -> Variable:
    members = node.members(VARIABLE)
    given = members.keys() & {"list", "min", "max"}
    if node.is_mapping and given not in ({"list"}, {"min", "max"}):
        node.complain("expected either `list: NAME` or `min: …` and `max: …`")
    factor = members["factor"].members(("p95",), required=("p95",)) if "factor" in members else {}
    return Variable(
        name=name,
        list=text_of(members, "list") or None,
        minimum=members["min"].integer() if "min" in members else None,
        maximum=members["max"].integer() if "max" in members else None,
        factor=factor["p95"].number() if "p95" in factor else None,
        by=text_of(members, "by") or None,
        zipf=bool("zipf" in members and members["zipf"].flag()),
    )


def _state(name: str, node: Node) -> State:
    members = node.members(STATE, required=("emits",))
    total, abandon = number_of(members, "total"), number_of(members, "abandon") or 0.0
    return State(
        name=name,
        emits=text_of(members, "emits"),
        next=_transitions(members["next"], (total or 100.0) - abandon) if "next" in members else (),
        total=100.0 if total is None else total,
        outcome=members["outcome"].one_of(OUTCOMES) or "completed" if "outcome" in members else None,
        abandon=abandon,
        timeout=read_timeout(members["timeout"]) if "timeout" in members else None,
        fork=read_fork(members["fork"]) if "fork" in members else None,
        compensation=read_way(members["compensation"], "state") if "compensation" in members else None,
        causes=read_causes(members["causes"]) if "causes" in members else (),
    )


def _transitions(node: Node, total: float) -> tuple[Transition, ...]:
    items = [(item, item.members(TRANSITION, required=("to",))) for item in node.items()]
    weights = [number_of(members, "weight") for _, members in items]
    for (item, members), weight in zip(items, weights, strict=True):
        if weight is None and "weight" not in members and len(items) > 1 and item.is_mapping:
            item.complain("'weight' is required where a state has several transitions")
    known = sum(weight for weight in weights if weight is not None)
    rest = (total - known) / (weights.count(None) or 1)  # of the only transition, or in place of an unreadable weight
    return tuple(
        _transition(item, members, rest if weight is None else weight)
        for (item, members), weight in zip(items, weights, strict=True)
    )


def _transition(node: Node, members: Mapping[str, Node], weight: float) -> Transition:
    retry = read_retry(members["retry"]) if "retry" in members else None
    backoff = retry.backoff if retry else None
    if node.is_mapping and "delay" not in members and not backoff:
        node.complain("'delay' is required, but missing")
    if "delay" in members and backoff:
        node.complain("a retry waits as its `backoff` says, so it has no `delay`")
    return Transition(
        to=text_of(members, "to"),
        delay=backoff.delay(1) if backoff else delay_of(members),
        weight=weight,
        retry=retry,
        compensate=flag_of(members, "compensate"),
        by=text_of(members, "by") or None,
    )
