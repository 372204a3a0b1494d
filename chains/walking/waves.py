"""Walks all chains of one kind through their states together, one step of all of them at a time (a wave)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from types import MappingProxyType

from eventbus.chains.errors import InvalidSetting
from eventbus.chains.randomness import chain_keys
from eventbus.chains.table import KIND, STEP, EventTable
from eventbus.chains.walking.crossing import Crossing, Kinds, Numbering, mark_last
from eventbus.chains.walking.forks import Spot
from eventbus.chains.walking.steps import follow, part, taken
from eventbus.chains.walking.walk import Walk

STEP_BITS = 62


class Waves:
    """A walker of state machines (see `walker.Walker`).

    Args:
        walk: the ways that are open.
        kinds: of the emitters.
        children: walkers of the chains that its events may cause.

    Raises:
        InvalidSetting: the steps of its events cannot be counted in 62 bits.
    """

    def __init__(self, walk: Walk, kinds: Kinds, children: Mapping[str, Waves] = MappingProxyType({})) -> None:
        self.chain = walk.chain
        self.span: int = walk.span({name: child.span for name, child in children.items()})
        self._walk = walk
        self._kinds = kinds
        self._children = dict(children)
        self._numbering = _numbering(walk, [child._walk for child in children.values()])

    @property
    def highest(self) -> int:
        """No event has a higher step."""
        return self._walk.highest

    def caused(self, first: EventTable, root: int) -> Iterator[EventTable]:
        """The events of chains that others cause, unmarked.

        Args:
            first: their first events without the kind, other than those of `events`; may be written to.
            root: the random key of the run.
        """
        return self._crossing(first, root)

    def events(self, roots: EventTable, root: int) -> Iterator[EventTable]:
        """The events of chains; those that have ended drop out of the next wave."""
        if self._walk.is_line:
            yield from self._in_line(roots, root)
        else:
            yield mark_last(EventTable.concatenate([*self._crossing(roots, root)]))

    def _in_line(self, roots: EventTable, root: int) -> Iterator[EventTable]:
        """As `_crossing`, but faster: the wave is the step, and what has no next event is the last."""
        roots.kind[:] = self._kinds.root
        wave, step = {self._walk.first: roots}, 0
        while wave:
            parts: dict[Spot, list[EventTable]] = defaultdict(list)
            for spot, events in wave.items():
                for to, effects in self._followed(spot, events, step, root):
                    parts[to].append(effects)
                yield events
            wave, step = {spot: EventTable.concatenate(tables) for spot, tables in parts.items()}, step + 1

    def _followed(self, spot: Spot, events: EventTable, step: int, root: int) -> Iterator[tuple[Spot, EventTable]]:
        """The next events, by where they lead; marks those that have none."""
        choice = self._walk.choice(spot)
        if not choice.ways:
            events.last[:] = 1
            return
        keys = chain_keys(root, events.chain)
        for way, rows in taken(choice, keys, step):
            if way is None:
                events.last[rows] = 1
                continue
            effects, some = part(events, keys, rows)
            columns = follow(way, effects, some, step, root)
            columns[STEP] = step + 1
            columns[KIND] = self._kinds.states[way.state]
            yield spot.after(way), effects

    def _crossing(self, roots: EventTable, root: int) -> Iterator[EventTable]:
        """The events of chains and of those that they cause, unmarked."""
        crossing = Crossing(self._walk, self._kinds, root, self._numbering)
        yield from crossing.events(roots)
        for name, first in crossing.caused.items():
            yield from self._children[name]._crossing(EventTable.concatenate(first), root)


def _numbering(walk: Walk, children: list[Walk]) -> Numbering:
    most = max(len(state.causes) for state in walk.chain.states.values())
    numbering = Numbering(most, max(one.highest for one in (walk, *children)).bit_length())
    if most and (walk.highest * most + most).bit_length() + numbering.bits > STEP_BITS:
        raise InvalidSetting(
            f"chain {walk.chain.name!r} and those that it causes have too many steps: lower their `max_steps`"
        )
    return numbering
