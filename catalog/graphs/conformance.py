"""What a finished chain must look like: the facts by which a processor judges the events it has seen.

A walk through a chain's state machine leaves a set of event types behind. The sets of all complete walks are finite
even where the machine loops, so "does this chain conform?" is a look-up of one bit mask.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from functools import cached_property
from typing import TYPE_CHECKING

from eventbus.catalog.errors import CatalogError
from eventbus.catalog.graphs.paths import accepted_sets, causing_types, types_of, unfinished_sets
from eventbus.catalog.model import Chain, State

if TYPE_CHECKING:
    from eventbus.catalog.catalog import Catalog

MAXIMUM_TYPES = 62
"""Bits of a mask: it fits a signed 64-bit integer, and one bit stays free."""


class Role(IntEnum):
    """What an event of a type does to its chain."""

    STEP = 0
    REQUESTED = 1
    """Starts it."""
    STARTED = 2
    """Says that the work began: the action `started`."""
    COMPLETED = 3
    """Ends it well."""
    FAILED = 4
    """Ends it badly."""


@dataclass(frozen=True)
class Conformance:
    """The facts of one catalog."""

    catalog: Catalog

    def classify(self, event_type: str) -> tuple[str | None, Role]:
        """The chain that an event type belongs to, and its role there.

        The chain is None for a type of several chains, or of none (which is a step).
        """
        return self._classes.get(event_type, (None, Role.STEP))

    @cached_property
    def _classes(self) -> dict[str, tuple[str | None, Role]]:
        classes: dict[str, tuple[str | None, Role]] = {}
        for chain in self.catalog.chains.values():
            for state in chain.states.values():
                other, _ = classes.get(state.emits, (chain.name, None))
                classes[state.emits] = (chain.name if other == chain.name else None, role_of(chain, state))
        return classes

    @cached_property
    def type_bits(self) -> Mapping[str, int]:
        """A bit number from 0 to 61 for each event type of a chain; types of one chain have different ones.

        Raises:
            CatalogError: the chains share so many types that 62 bits do not suffice.
        """
        return number_types(types_of(chain) for chain in self.catalog.chains.values())

    @cached_property
    def accepted(self) -> Mapping[str, frozenset[int]]:
        """For each chain the masks (bits of `type_bits`) of the event types of every complete walk.

        Raises:
            TooManyPaths: more than 10,000 masks for one chain.
        """
        return {
            chain.name: frozenset(self.mask(types) for types in accepted_sets(chain))
            for chain in self.catalog.chains.values()
        }

    def mask(self, event_types: Iterable[str]) -> int:
        """The bits of these event types together; types of no chain have none."""
        bits = 0
        for event_type in event_types:
            bits |= 1 << self.type_bits[event_type] if event_type in self.type_bits else 0
        return bits

    def explain(self, chain: str, seen: Collection[str], ended: bool) -> list[str]:
        """What is missing or unexpected, compared with the nearest way through the chain; empty when all is well.

        Args:
            chain: name of a chain of the catalog.
            seen: the event types seen so far.
            ended: whether a terminal event is among them, or nothing more is to come.

        Raises:
            UnknownName: no such chain.
        """
        return explain(self.catalog.chain(chain), frozenset(seen), ended)


def role_of(chain: Chain, state: State) -> Role:
    """The role of a state's event in its chain."""
    if state.name == chain.start:
        return Role.REQUESTED
    if state.outcome:
        return Role.FAILED if state.outcome == "failed" else Role.COMPLETED
    return Role.STARTED if state.emits.split(".")[-2:-1] == ["started"] else Role.STEP


def number_types(groups: Iterable[Iterable[str]]) -> dict[str, int]:
    """Give each type the lowest number that no neighbour has; neighbours are types of one group.

    Raises:
        CatalogError: a number of 62 or more would be needed.
    """
    neighbours: dict[str, set[str]] = {}
    for group in map(set, groups):
        for name in group:
            neighbours.setdefault(name, set()).update(group - {name})
    numbers: dict[str, int] = {}
    for name in sorted(neighbours, key=lambda n: (-len(neighbours[n]), n)):  # the most constrained first
        taken = {numbers[other] for other in neighbours[name] if other in numbers}
        numbers[name] = next(number for number in range(len(taken) + 1) if number not in taken)
        if numbers[name] >= MAXIMUM_TYPES:
            raise CatalogError(f"the chains share too many event types: {MAXIMUM_TYPES} bits do not tell them apart")
    return numbers


def explain(chain: Chain, seen: frozenset[str], ended: bool) -> list[str]:
    """See `Conformance.explain`."""
    if ended:
        return _differences(chain, seen, _nearest(seen, accepted_sets(chain)))
    onward = unfinished_sets(chain)
    path = _nearest(seen, onward)
    after = [name for name in types_of(chain) if name in onward[path]]
    return [*_differences(chain, seen, path), f"not ended yet: {' or '.join(after)} may come next"]


def _nearest(seen: frozenset[str], paths: Collection[frozenset[str]]) -> frozenset[str]:
    """The path that explains most of what was seen; of several, the one with the fewest missing, then by name."""
    return min(paths, key=lambda path: (len(seen - path), len(path - seen), sorted(path)))


def _differences(chain: Chain, seen: frozenset[str], path: frozenset[str]) -> list[str]:
    own = types_of(chain)
    missing = [f"{name} is missing{_after(chain, name, path)}" for name in own if name in path - seen]
    beside = [f"{name} does not go together with the other events" for name in own if name in seen - path]
    foreign = [f"{name} does not belong to {chain.name}" for name in sorted(seen - set(own))]
    return missing + beside + foreign


def _after(chain: Chain, event_type: str, path: frozenset[str]) -> str:
    before = causing_types(chain, event_type)
    previous = next((name for name in types_of(chain) if name in before & path - {event_type}), None)
    return f": it is expected after {previous}" if previous else ": it starts the chain"
