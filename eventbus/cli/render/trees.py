"""A chain as a tree of states: each with the states that follow it, their shares and their delays."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from rich.text import Text
from rich.tree import Tree

from eventbus.catalog.model import Chain, Delay, Exponential, Fixed, Fork, Retry, State, Target, Transition, Uniform

COLOURS = {"completed": "green", "failed": "red"}
UNDONE = ", after all is undone"


class Line(NamedTuple):
    """A line below a state."""

    share: str
    """How often, or empty."""
    text: str
    to: str | None
    """The state that follows; None if the line has no state of the chain."""


def chain_tree(chain: Chain) -> Tree:
    """The tree from the start of the chain; a state that occurs again is named without what follows it."""
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
    for cause in state.causes:
        yield Line(f"{cause.weight:g}%  ", f"beside it, {delay_text(cause.delay)} → the chain {cause.chain}", None)


def _transition_lines(state: State, transition: Transition) -> Iterator[Line]:
    share = f"{transition.weight / state.total:.0%}  " if len(state.next) > 1 or state.abandon else ""
    speed = f" × {transition.scaled_by}" if transition.scaled_by else ""
    undone = UNDONE if transition.compensate else ""
    if transition.retry is None:
        yield Line(share, f"{delay_text(transition.delay)}{speed}{undone}", transition.to)
        return
    times = "once" if transition.retry.limit == 1 else f"{transition.retry.limit} times"
    yield Line(share, f"{times} at most, {_retry_text(transition, transition.retry)}{speed}{undone}", transition.to)
    yield Line(" " * len(share), f"then {_target_text(transition.retry.otherwise)}", transition.retry.otherwise.to)


def _retry_text(transition: Transition, retry: Retry) -> str:
    if retry.backoff is None:
        return delay_text(transition.delay)
    first, last = (delay_text(retry.backoff.delay(number)) for number in (1, retry.limit))
    return first if first == last else f"{first} at first, {last} at last"


def _fork_lines(fork: Fork) -> Iterator[Line]:
    for branch in fork.branches:
        yield Line("∥ ", _target_text(branch), branch.to)
    yield Line("", f"when all have ended, {_target_text(fork.join)}", fork.join.to)
    for rule in fork.unless:
        yield Line("", f"or, if one ended {rule.ended}, {_target_text(rule.target)}", rule.target.to)


def _target_text(target: Target) -> str:
    return f"{delay_text(target.delay)}{UNDONE if target.compensate else ''}"


def _state_text(state: State) -> Text:
    colour = COLOURS.get(state.outcome or "", "")
    end = f"  ■ {state.outcome}" if state.outcome else ""
    return Text.assemble((state.name, f"bold {colour}".strip()), "  ", state.emits, (end, colour))
