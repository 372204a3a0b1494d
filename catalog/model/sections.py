"""The sections of a catalog as one value, and what can be asked of them without reading or checking anything."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from eventbus.catalog.errors import UnknownName, did_you_mean, join_names
from eventbus.catalog.model.cached import Cached
from eventbus.catalog.model.chains import Chain, Variable
from eventbus.catalog.model.events import EventType

T = TypeVar("T")
SectionsT = TypeVar("SectionsT", bound="Sections")

DEFAULT_PARTITIONS = 4
"""Of the topic of a domain for which no file gives another number."""


@dataclass(frozen=True, kw_only=True)
class Sections(Cached):
    """Event types, chains, lists and topics of all domains together."""

    events: Mapping[str, EventType]
    chains: Mapping[str, Chain]
    lists: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)
    partitions: Mapping[str, int] = field(default_factory=dict)
    """Partitions of each domain's topic, e.g. `{"omninode.agent": 4}`; the loader names every domain of `events`."""

    def chain(self, name: str) -> Chain:
        """Raises UnknownName, which lists the names that exist."""
        return lookup(self.chains, name, "chain")

    def event_type(self, name: str) -> EventType:
        """Raises UnknownName, which lists the names that exist."""
        return lookup(self.events, name, "event type")

    @property
    def weighted(self) -> list[Chain]:
        """The chains with a weight above 0: those that start on their own."""
        return [chain for chain in self.chains.values() if chain.weight > 0]

    @property
    def active(self) -> list[Chain]:
        """The chains with a weight above 0, and those that they may cause."""
        caused = {name for chain in self.weighted for name in chain.caused}
        return [chain for chain in self.chains.values() if chain.weight > 0 or chain.name in caused]

    def only(self: SectionsT, *names: str) -> SectionsT:
        """A copy in which only these chains are switched on: a weight of 0 becomes 1, all other weights become 0."""
        chosen = {name: self.chain(name).weight or 1 for name in names}
        return self.with_weights({**dict.fromkeys(self.chains, 0), **chosen})

    def with_weights(self: SectionsT, weights: Mapping[str, float]) -> SectionsT:
        """A copy with other weights; chains that are not named keep theirs."""
        changed = {name: replace(self.chain(name), weight=weight) for name, weight in weights.items()}
        return replace(self, chains={**self.chains, **changed})

    def with_slots(self: SectionsT, slots: int, is_closed: bool) -> SectionsT:
        """A copy for a run in which an exclusive variable has no value twice among consecutive chains.

        Args:
            slots: how many chains; 0: no variable is exclusive.
            is_closed: whether every slot is a user, so that there are as many values as slots.
        """
        if not slots:
            return self
        chains = {name: _with_slots(chain, slots, is_closed) for name, chain in self.chains.items()}
        return replace(self, chains=chains)


def _with_slots(chain: Chain, slots: int, is_closed: bool) -> Chain:
    def changed(variable: Variable) -> Variable:
        if not variable.exclusive:
            return variable
        maximum = (variable.minimum or 0) + slots - 1 if is_closed else variable.maximum
        return replace(variable, slots=slots, maximum=maximum)

    return replace(chain, variables={name: changed(variable) for name, variable in chain.variables.items()})


def emitters(chains: Mapping[str, Chain]) -> dict[str, list[Chain]]:
    """The chains that emit each event type."""
    by_type: dict[str, list[Chain]] = {}
    for chain in chains.values():
        for event_type in dict.fromkeys(state.emits for state in chain.states.values()):
            by_type.setdefault(event_type, []).append(chain)
    return by_type


def lookup(values: Mapping[str, T], name: str, kind: str) -> T:
    """The value of a name.

    Raises:
        UnknownName: there is none; the message suggests a similar name and lists what exists.
    """
    try:
        return values[name]
    except KeyError:
        near = did_you_mean(name, values)
        raise UnknownName(
            f"no {kind} {name!r} in the catalog{near}; there are: {join_names(sorted(values), 40)}"
        ) from None
