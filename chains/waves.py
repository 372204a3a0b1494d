"""Walks all chains of one kind through their states together, one step of all of them at a time (a wave)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping

import numpy as np

from chains.randomness import Integers, chain_keys, draw, fraction
from chains.table import CAUSE, DELAY, KIND, STEP, TIME, EventTable
from chains.walk import Branch, Choice, Walk


class Waves:
    """A walker of state machines (see `walker.Walker`).

    Args:
        walk: the ways that are open.
        root_kind: index of the emitter of the first event.
        kinds: index of the emitter of every later event, by its state.
    """

    def __init__(self, walk: Walk, root_kind: int, kinds: Mapping[str, int]) -> None:
        self.chain = walk.chain
        self.span = walk.span()
        self._walk = walk
        self._root_kind = root_kind
        self._kinds = kinds

    def events(self, roots: EventTable, root: int) -> Iterator[EventTable]:
        """The events of chains, a table for each state of each wave; those that have ended drop out of the next."""
        roots.kind[:] = self._root_kind
        wave, step = {self.chain.start: roots}, 0
        while wave:
            parts: dict[str, list[EventTable]] = defaultdict(list)
            for state, events in wave.items():
                choice = self._walk.choice(state, step)
                if not choice.branches:
                    events.last[:] = 1
                for branch, rows in _branched(choice, events, step, root):
                    parts[branch.to].append(self._followed(branch, events.take(rows), step, root))
                yield events
            wave, step = {state: EventTable.concatenate(tables) for state, tables in parts.items()}, step + 1

    def _followed(self, branch: Branch, causes: EventTable, step: int, root: int) -> EventTable:
        """Turns a copy of the causing events into their effects."""
        columns = causes.columns
        columns[DELAY] = branch.delay.at(draw(chain_keys(root, causes.chain), branch.purpose, step))
        columns[TIME] += columns[DELAY]
        columns[CAUSE] = step
        columns[STEP] = step + 1
        columns[KIND] = self._kinds[branch.to]
        return causes


def _branched(choice: Choice, events: EventTable, step: int, root: int) -> Iterator[tuple[Branch, Integers]]:
    """The rows that take each branch."""
    if len(choice.branches) < 2:
        for branch in choice.branches:
            yield branch, np.arange(len(events))
        return
    words = draw(chain_keys(root, events.chain), choice.purpose, step)
    taken = choice.edges.searchsorted(fraction(words), side="right")
    for number, branch in enumerate(choice.branches):
        rows = np.flatnonzero(taken == number)
        if rows.size:
            yield branch, rows
