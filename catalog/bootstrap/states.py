"""The states of a chain as a file has them: the inverse of `read_chains` and `read_topology`."""

from __future__ import annotations

from typing import Any

from eventbus.catalog.exports.delays import delay_document
from eventbus.catalog.model import Causes, State, Transition
from eventbus.catalog.model_delays import Delay
from eventbus.catalog.topology import Backoff, Fork, Retry, Way

Document = dict[str, Any]


def state_document(state: State) -> Document:
    """A state."""
    document: Document = {"emits": state.emits}
    if state.total != 100:
        document["total"] = state.total
    if state.abandon:
        document["abandon"] = state.abandon
    if state.next:
        only = len(state.next) == 1
        document["next"] = [_transition(way, weighted=not only) for way in state.next]
    if state.timeout:
        document["timeout"] = {"after": state.timeout.after, "to": state.timeout.to}
    if state.fork:
        document["fork"] = _fork(state.fork)
    if state.compensation:
        document["compensation"] = _way(state.compensation, "state")
    if state.causes:
        document["causes"] = [_causes(one) for one in state.causes]
    if state.outcome:
        document["outcome"] = state.outcome
    return document


def _transition(way: Transition, *, weighted: bool) -> Document:
    backoff = way.retry and way.retry.backoff
    return {
        "to": way.to,
        **({"weight": way.weight} if weighted else {}),
        **({} if backoff else {"delay": _delay(way.delay)}),
        **({"retry": _retry(way.retry)} if way.retry else {}),
        **({"compensate": True} if way.compensate else {}),
        **({"by": way.by} if way.by else {}),
    }


def _retry(retry: Retry) -> Document:
    backoff = {"backoff": _backoff(retry.backoff)} if retry.backoff else {}
    return {"limit": retry.limit, **backoff, "else": _way(retry.otherwise)}


def _backoff(backoff: Backoff) -> Document:
    bound = {} if backoff.maximum is None else {"max": backoff.maximum}
    return {"initial": backoff.initial, "factor": backoff.factor, **bound, "jitter": backoff.jitter}


def _fork(fork: Fork) -> Document:
    others = [{"state": one.ended, **_way(one.way)} for one in fork.unless]
    join = {**_way(fork.join), **({"unless": others} if others else {})}
    return {"branches": [_way(branch) for branch in fork.branches], "join": join}


def _way(way: Way, target: str = "to") -> Document:
    return {target: way.to, "delay": _delay(way.delay), **({"compensate": True} if way.compensate else {})}


def _causes(one: Causes) -> Document:
    return {"chain": one.chain, "weight": one.weight, "delay": _delay(one.delay)}


def _delay(delay: Delay) -> Document:
    """Without a lower bound of 0, which all have."""
    ((name, value),) = delay_document(delay).items()
    return {name: {key: v for key, v in value.items() if (key, v) != ("min", 0)} if isinstance(value, dict) else value}
