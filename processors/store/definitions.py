"""What the database needs of a catalog to fold events into chains: the chains' event types and paths, as bit masks."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import count
from typing import NamedTuple, Self
from zlib import crc32

from eventbus.catalog import Catalog, Chain
from eventbus.catalog.graph.conformance import Role, accepted_sets, assign_bits, types_of
from eventbus.processors.store.connect import Connection
from eventbus.processors.store.queries import SQL

BITS = 62
"""Bits of a mask for types of the catalog. A mask is a signed 64-bit integer; bit 62 marks types that the catalog does
not know."""

SYNC_TIMEOUT = 3600.0
"""Seconds: a changed catalog may require that all stored events are folded again."""


class TypeDefinition(NamedTuple):
    """One event type."""

    chain: str | None
    """The chain it belongs to; None for a step of several chains, `a | b` for a type that starts several chains."""
    role: int
    """0 step, 1 requested, 2 started, 3 completed, 4 failed."""
    bit: int
    """A power of two, distinct among the types of a chain."""
    causing: bool = False
    """Whether its chain may cause others, with the same correlation id; their events do not define the stored chain."""


@dataclass(frozen=True)
class ChainDefinitions:
    """The event types of all chains, and the paths through each chain."""

    types: Mapping[str, TypeDefinition] = field(default_factory=dict)
    paths: Mapping[str, Collection[int]] = field(default_factory=dict)
    """By chain: the set of types of each path through it, as a mask."""
    caused: Mapping[str, int] = field(default_factory=dict)
    """By chain that may cause others: the types of those, as a mask."""

    @classmethod
    def of(cls, catalog: Catalog) -> Self:
        """The definitions of a catalog.

        Raises:
            CatalogError: its chains share too many types, or have too many paths.
        """
        bits = _type_bits(catalog)
        types = {name: _definition(catalog, name, bit) for name, bit in bits.items()}
        for name in causing_types(catalog):
            types[name] = types[name]._replace(causing=True)
        paths: dict[str, set[int]] = {}
        caused: dict[str, int] = {}
        for chain in catalog.chains.values():
            name = types[chain.root].chain or chain.name
            masks = {_mask(kinds, bits) for kinds in accepted_sets(chain)}
            paths[name] = paths.get(name, set()) | masks
            if caused_types := _caused_types(catalog, chain):
                caused[name] = caused.get(name, 0) | _mask(caused_types, bits)
        return cls(types, paths, caused)


async def sync_catalog(connection: Connection, definitions: ChainDefinitions) -> None:
    """Store the definitions; if they differ for types that are stored, the database folds all events again."""
    types, paths, caused = definitions.types, definitions.paths, definitions.caused
    await connection.execute(
        SQL["sync_catalog"],
        list(types),
        [definition.chain for definition in types.values()],
        [definition.role for definition in types.values()],
        [definition.bit for definition in types.values()],
        [definition.causing for definition in types.values()],
        [chain for chain, masks in paths.items() for _ in masks],
        [mask for masks in paths.values() for mask in masks],
        list(caused),
        list(caused.values()),
        timeout=SYNC_TIMEOUT,
    )


def causing_types(catalog: Catalog) -> set[str]:
    """The types of chains that may cause others, and of all chains that share types with these."""
    causing: set[str] = set()
    groups = [(set(types_of(chain)), bool(chain.caused)) for chain in catalog.chains.values()]
    while added := {kind for kinds, causes in groups if causes or kinds & causing for kind in kinds} - causing:
        causing |= added
    return causing


def stable_bits(names: Iterable[str]) -> dict[str, int]:
    """A distinct bit number for each of at most 62 names.

    The number is derived from the name, so that most types keep theirs when a catalog grows: a changed bit requires
    that stored chains are folded again.
    """
    numbers: dict[str, int] = {}
    for name in sorted(names):
        candidates = (number % BITS for number in count(crc32(name.encode())))
        numbers[name] = next(number for number in candidates if number not in numbers.values())
    return numbers


def _type_bits(catalog: Catalog) -> dict[str, int]:
    """A bit number for each type of a chain.

    A catalog with more types than bits shares them between types of different chains; an event that does not belong
    to its chain may then go unnoticed in `chains.seen`.
    """
    groups = [{*types_of(chain), *_caused_types(catalog, chain)} for chain in catalog.chains.values()]
    names = set().union(*groups)
    return stable_bits(names) if len(names) <= BITS else assign_bits(groups)


def _definition(catalog: Catalog, name: str, bit: int) -> TypeDefinition:
    chain, role = catalog.conformance.classify(name)
    if role == Role.REQUESTED:
        chain = " | ".join(sorted(chain.name for chain in catalog.chains.values() if chain.root == name))
    return TypeDefinition(chain, int(role), 1 << bit)


def _caused_types(catalog: Catalog, chain: Chain) -> set[str]:
    """The types of the chains that a chain may cause."""
    return {kind for name in chain.caused for kind in types_of(catalog.chain(name))}


def _mask(kinds: Iterable[str], bits: Mapping[str, int]) -> int:
    return sum(1 << bits[kind] for kind in kinds)
