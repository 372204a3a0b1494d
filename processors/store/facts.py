"""What the database must know of the catalog to fold events into chains; how it is worked out stays the catalog's."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, Self

from catalog import Catalog
from catalog.conformance import Conformance


class TypeFact(NamedTuple):
    """One event type."""

    chain: str | None
    """The one chain it belongs to; None for a type of several."""
    role: int
    """0 step, 1 requested, 2 started, 3 completed, 4 failed."""
    bit: int
    """A power of two up to 2⁶¹; types of one chain have different ones."""


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
        known = Conformance(catalog)
        return cls(
            types={name: TypeFact(*known.classify(name), 1 << bit) for name, bit in known.type_bits.items()},
            paths=known.accepted,
        )
