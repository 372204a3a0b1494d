"""What the database must know of the catalog to fold events into chains; how it is worked out stays the catalog's."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import count
from typing import NamedTuple, Self
from zlib import crc32

from eventbus.catalog import Catalog, Chain
from eventbus.catalog.graph.conformance import Role, accepted_sets, assign_bits, types_of

BITS = 62
"""Of a mask: it fits a signed 64-bit integer, and bit 62 means "a type that the catalog does not know"."""


class TypeFact(NamedTuple):
    """One event type."""

    chain: str | None
    """The chain it belongs to; None for a step of several, and `a | b` for a type that starts several."""
    role: int
    """0 step, 1 requested, 2 started, 3 completed, 4 failed."""
    bit: int
    """A power of two; types of one chain have different ones."""
    causing: bool = False
    """Its chain may cause others, under the same correlation id: these do not count beside it."""


@dataclass(frozen=True)
class Facts:
    """The event types of all chains, and the ways through each chain."""

    types: Mapping[str, TypeFact] = field(default_factory=dict)
    paths: Mapping[str, Collection[int]] = field(default_factory=dict)
    """For each chain, the bits of the types that a finished one may have seen, one mask for each way."""
    caused: Mapping[str, int] = field(default_factory=dict)
    """For each chain that may cause others, the bits of the types of those."""

    @classmethod
    def of(cls, catalog: Catalog) -> Self:
        """The facts of a catalog.

        Raises:
            CatalogError: its chains share too many types, or have too many ways.
        """
        bits = _bits(catalog)
        types = {name: _type_fact(catalog, name, bit) for name, bit in bits.items()}
        for name in causing_types(catalog):
            types[name] = types[name]._replace(causing=True)
        paths: dict[str, set[int]] = {}
        caused: dict[str, int] = {}
        for chain in catalog.chains.values():
            name = types[chain.root].chain or chain.name
            masks = {sum(1 << bits[kind] for kind in kinds) for kinds in accepted_sets(chain)}
            paths[name] = paths.get(name, set()) | masks
            if inside := _types_inside(catalog, chain):
                caused[name] = caused.get(name, 0) | sum(1 << bits[kind] for kind in inside)
        return cls(types, paths, caused)


def _bits(catalog: Catalog) -> dict[str, int]:
    """A bit number for each type of a chain.

    Where there are not enough for all, types of different chains share them: a stranger among the types of a chain may
    then go unnoticed in `chains.seen`.
    """
    groups = [{*types_of(chain), *_types_inside(catalog, chain)} for chain in catalog.chains.values()]
    names = set().union(*groups)
    return numbered(names) if len(names) <= BITS else assign_bits(groups)


def _type_fact(catalog: Catalog, name: str, bit: int) -> TypeFact:
    chain, role = catalog.conformance.classify(name)
    if role == Role.REQUESTED:
        chain = " | ".join(sorted(chain.name for chain in catalog.chains.values() if chain.root == name))
    return TypeFact(chain, int(role), 1 << bit)


def _types_inside(catalog: Catalog, chain: Chain) -> set[str]:
    """The types of the chains that a chain may cause."""
    return {kind for name in chain.caused for kind in types_of(catalog.chain(name))}


def causing_types(catalog: Catalog) -> set[str]:
    """The types of chains that may cause others, and of all chains that share types with these."""
    found: set[str] = set()
    groups = [(set(types_of(chain)), bool(chain.caused)) for chain in catalog.chains.values()]
    while more := {kind for kinds, causes in groups if causes or kinds & found for kind in kinds} - found:
        found |= more
    return found


def numbered(names: Iterable[str]) -> dict[str, int]:
    """A bit number for each of at most 62 names.

    It hangs on the name, so that a catalog that grows leaves most types where they were: stored chains would have to
    be folded again otherwise.
    """
    numbers: dict[str, int] = {}
    for name in sorted(names):
        wanted = (number % BITS for number in count(crc32(name.encode())))
        numbers[name] = next(number for number in wanted if number not in numbers.values())
    return numbers
