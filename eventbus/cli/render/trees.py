"""A chain as a tree of its walks: each state with what it leads to, how often and after what delay."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from rich.text import Text
from rich.tree import Tree

from eventbus.catalog.model import Chain, Delay, Exponential, Fixed, Fork, Retry, State, Target, Transition, Uniform

COLOURS = {"completed": "green", "failed": "red"}
UNDONE = ", after all is undone"


class Line(NamedTuple):
    """One way on."""

    share: str
    text: str
    to: str | None
    """A state; None: the text says it all."""


def chain_tree(chain: Chain) -> Tree:
    """A state seen before is named, not drawn again."""
    tree = Tree(_state_text(chain.states[chain.start]), guide_style="dim")
    _grow(tree, chain, chain.states[chain.start], {chain.start})
    return tree


def delay_text(delay: Delay) -> str:
    """`100–300 ms`, `100 ms`, `median 400 ms, p95 2000 ms`."""
    if isinstance(delay, Fixed):
        return f"{delay.value:g} ms"
    if isinstance(delay, Uniform):
        return f"{delay.minimum:g}–{delay.maximum:g} ms"
    if isinstance(delay, Exponential):
        return f"mean {delay.mean:g} ms"
    return f"median {delay.median:g} ms, p95 {delay.p95:g} ms"


def _grow(tree: Tree, chain: Chain, state: State, seen: set[str]) -> None:
    for line in _lines(state):
        label = Text.assemble((line.share, "yellow"), (line.text, "cyan"))
        if line.to is None:
            tree.add(label)
        elif line.to in seen:
            tree.add(label.append_text(Text(f" → ↺ {line.to}", "dim")))
        else:
            seen.add(line.to)
            target = chain.states[line.to]
            label.append(" → ", "cyan").append_text(_state_text(target))
            _grow(tree.add(label), chain, target, seen)


def _lines(state: State) -> Iterator[Line]:
    for transition in state.next:
        yield from _transition_lines(state, transition)
    if state.timeout:
        yield Line("", f"when nothing comes for {state.timeout.after:g} ms", state.timeout.to)
    if state.abandon:
        yield Line(f"{state.abandon / state.total:.0%}  ", "abandoned: nothing more comes", None)
    if state.fork:
        yield from _fork_lines(state.fork)
    if state.compensation:
        yield Line("", f"to undo it, {delay_text(state.compensation.delay)}", state.compensation.to)
    for one in state.causes:
        yield Line(f"{one.weight:g}%  ", f"beside it, {delay_text(one.delay)} → the chain {one.chain}", None)


def _transition_lines(state: State, one: Transition) -> Iterator[Line]:
    share = f"{one.weight / state.total:.0%}  " if len(state.next) > 1 or state.abandon else ""
    speed = f" × {one.scaled_by}" if one.scaled_by else ""
    undone = UNDONE if one.compensate else ""
    if one.retry is None:
        yield Line(share, f"{delay_text(one.delay)}{speed}{undone}", one.to)
        return
    times = "once" if one.retry.limit == 1 else f"{one.retry.limit} times"
    yield Line(share, f"{times} at most, {_waiting_text(one, one.retry)}{speed}{undone}", one.to)
    yield Line(" " * len(share), f"then {_way_text(one.retry.otherwise)}", one.retry.otherwise.to)


def _waiting_text(one: Transition, retry: Retry) -> str:
    if retry.backoff is None:
        return delay_text(one.delay)
    first, last = (delay_text(retry.backoff.delay(number)) for number in (1, retry.limit))
    return first if first == last else f"{first} at first, {last} at last"


def _fork_lines(fork: Fork) -> Iterator[Line]:
    for way in fork.branches:
        yield Line("∥ ", _way_text(way), way.to)
    yield Line("", f"when all have ended, {_way_text(fork.join)}", fork.join.to)
    for one in fork.unless:
        yield Line("", f"or, if one ended {one.ended}, {_way_text(one.target)}", one.target.to)


def _way_text(way: Target) -> str:
    return f"{delay_text(way.delay)}{UNDONE if way.compensate else ''}"


def _state_text(state: State) -> Text:
    colour = COLOURS.get(state.outcome or "", "")
    end = f"  ■ {state.outcome}" if state.outcome else ""
    return Text.assemble((state.name, f"bold {colour}".strip()), "  ", state.emits, (end, colour))
