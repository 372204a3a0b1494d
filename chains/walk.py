"""How a chain is walked: the ways that are open in each state, so that it always ends, in time and as it should."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from catalog import Chain, State, Transition
from catalog.model import Outcome
from chains.delays import Sampler, sampler
from chains.errors import ImpossibleChain
from chains.randomness import Words, purpose, shares


class Branch(NamedTuple):
    """One way out of a state."""

    to: str
    purpose: int
    """Of the draw of its delay."""
    delay: Sampler


class Choice(NamedTuple):
    """The ways that are open, and the upper edge of each one's share in 2^32 parts."""

    branches: tuple[Branch, ...]
    edges: Words
    purpose: int
    """Of the draw between them."""


class Walk:
    """The transitions of a chain that may be taken.

    Far from `max_steps`, every transition is open from whose target a goal can be reached; near it, only those from
    whose target it can be reached in the steps that are left.

    Args:
        outcome: the goals are the terminal states of this outcome; None: all terminal states.

    Raises:
        ImpossibleChain: no goal can be reached within `max_steps` events.
    """

    def __init__(self, chain: Chain, outcome: Outcome | None = None) -> None:
        self.chain = chain
        goals = [s.name for s in chain.states.values() if not s.next and outcome in (None, s.outcome)]
        self.distance = _distance(chain, goals)
        if self.distance.get(chain.start, chain.max_steps) >= chain.max_steps:
            raise ImpossibleChain(_impossible(chain, outcome, goals))
        self._farthest = max(self.distance.values())
        self._branches = {
            name: {transition: _branch(chain, state, transition) for transition in state.next}
            for name, state in chain.states.items()
        }
        self._choices = {
            (name, left): self._choice(chain.states[name], left)
            for name in self.distance
            for left in range(-1, self._farthest + 1)  # -1: after the last step that is allowed
        }

    def choice(self, state: str, step: int) -> Choice:
        """The ways out of a state, for an event at a step (counted from 0); none at a goal."""
        left = self.chain.max_steps - step - 2
        return self._choices[state, min(left, self._farthest)]

    def targets(self) -> list[str]:
        """The states that some open transition leads to, in the chain's order."""
        reached = {branch.to for choice in self._choices.values() for branch in choice.branches}
        return [name for name in self.chain.states if name in reached]

    def longest_before(self, state: str) -> int:
        """The longest delay that leads to a state, microseconds."""
        every = (branch for ways in self._branches.values() for branch in ways.values())
        return max((branch.delay.maximum for branch in every if branch.to == state), default=0)

    def span(self) -> int:
        """The longest time from the first event to the last, microseconds."""
        longest = dict.fromkeys(self.distance, 0)
        for step in reversed(range(self.chain.max_steps - 1)):  # from the last step that may have a next one
            longest = {state: self._longest_from(state, step, longest) for state in longest}
        return longest[self.chain.start]

    def _longest_from(self, state: str, step: int, onward: Mapping[str, int]) -> int:
        ways = self.choice(state, step).branches
        return max((way.delay.maximum + onward[way.to] for way in ways), default=0)

    def _choice(self, state: State, left: int) -> Choice:
        ways = [t for t in state.next if t.weight > 0 and self.distance.get(t.to, left + 1) <= left]
        branches = tuple(self._branches[state.name][way] for way in ways)
        edges = shares([way.weight for way in ways]) if ways else []
        return Choice(branches, np.array(edges, np.uint64), purpose(f"{self.chain.name}/{state.name}/next"))


def _branch(chain: Chain, state: State, transition: Transition) -> Branch:
    delay = purpose(f"{chain.name}/{state.name}/delay/{transition.to}")
    return Branch(transition.to, delay, sampler(transition.delay))


def _distance(chain: Chain, goals: list[str]) -> Mapping[str, int]:
    """Fewest transitions from each state to a goal; a state that cannot reach one is absent."""
    far = dict.fromkeys(goals, 0)
    while more := {
        name: 1 + min(far[t.to] for t in state.next if t.to in far and t.weight > 0)
        for name, state in chain.states.items()
        if name not in far and any(t.to in far and t.weight > 0 for t in state.next)
    }:
        far |= more
    return far


def _impossible(chain: Chain, outcome: Outcome | None, goals: list[str]) -> str:
    if not goals:
        known = sorted({state.outcome for state in chain.states.values() if state.outcome})
        return f"chain {chain.name!r} never ends {outcome or 'at all'}; its outcomes are: {', '.join(known) or 'none'}"
    return (
        f"chain {chain.name!r} cannot get from {chain.start!r} to {' or '.join(map(repr, goals))}"
        f" within {chain.max_steps} events"
    )
