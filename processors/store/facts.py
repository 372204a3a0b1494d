"""What the database must know of the catalog to fold events into chains; how it is worked out stays the catalog's."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import count
from typing import NamedTuple, Self
from zlib import crc32

from catalog import Catalog
from catalog.conformance import Conformance, Role, accepted_sets, types_of

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


@dataclass(frozen=True)
class Facts:
    """The event types of all chains, and the ways through each chain."""

    types: Mapping[str, TypeFact] = field(default_factory=dict)
    paths: Mapping[str, Collection[int]] = field(default_factory=dict)
    """For each chain, the bits of the types that a finished one may have seen, one mask for each way."""

    @classmethod
    def of(cls, catalog: Catalog) -> Self:
        """The facts of a catalog.

        Raises:
            CatalogError: its chains share too many types, or have too many ways.
        """
        known, chains = Conformance(catalog), catalog.chains.values()
        names = {name for chain in chains for name in types_of(chain)}
        # where there are not bits enough for all, types of different chains share them: a stranger among the types
        # of a chain may then go unnoticed in `chains.seen`
        bits = numbered(names) if len(names) <= BITS else known.type_bits
        types: dict[str, TypeFact] = {}
        paths: dict[str, set[int]] = {}
        for name in bits:
            chain, role = known.classify(name)
            if role == Role.REQUESTED:
                chain = " | ".join(sorted(c.name for c in chains if c.root == name))
            types[name] = TypeFact(chain, int(role), 1 << bits[name])
        for one in chains:
            name = types[one.root].chain or one.name
            masks = {sum(1 << bits[kind] for kind in kinds) for kinds in accepted_sets(one)}
            paths[name] = paths.get(name, set()) | masks
        return cls(types, paths)


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
