"""Chain definitions give the database a role and a bit for each type, and a mask for each path through a chain."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventbus.catalog import Catalog
from eventbus.processors.store.definitions import BITS, ChainDefinitions, stable_bits

CATALOG = Catalog.default()


def test_every_path_is_a_mask_of_its_types() -> None:
    """The two paths of an agent execution share three types and differ in their end."""
    definitions = ChainDefinitions.of(CATALOG)
    prefix = "omninode.agent."
    shared = ("routing.requested.v1", "routing.completed.v1", "execution.started.v1")
    bits = [definitions.types[prefix + name].bit for name in shared]
    endings = [definitions.types[f"{prefix}execution.{name}.v1"] for name in ("completed", "failed")]
    assert definitions.paths["agent-execution"] == {sum(bits) + ending.bit for ending in endings}
    assert [ending.role for ending in endings] == [3, 4]
    assert definitions.types[prefix + shared[0]][:2] == ("agent-execution", 1)


def test_types_have_distinct_bits() -> None:
    """With enough bits, no two types of a catalog share one, and none has the bit of unknown types."""
    bits = [definition.bit for definition in ChainDefinitions.of(CATALOG).types.values()]
    assert len(set(bits)) == len(bits)
    assert all(bit.bit_count() == 1 and bit < 1 << BITS for bit in bits)


def test_chains_with_the_same_first_type() -> None:
    """A type that starts several chains names all of them, and each of their paths conforms."""
    chain = CATALOG.chain("vault-read")
    catalog = replace(CATALOG, chains={**CATALOG.chains, "vault-again": replace(chain, name="vault-again")})
    definitions = ChainDefinitions.of(catalog)
    assert definitions.types[chain.root].chain == "vault-again | vault-read"
    assert definitions.paths["vault-again | vault-read"] == ChainDefinitions.of(CATALOG).paths["vault-read"]


@given(st.sets(st.text(), max_size=BITS))
def test_up_to_62_names_have_distinct_bits(names: set[str]) -> None:
    """Each bit number is used once, for any names in any order."""
    numbers = stable_bits(names)
    assert set(numbers) == names
    assert len(set(numbers.values())) == len(names)
    assert all(0 <= number < BITS for number in numbers.values())
    assert stable_bits(sorted(names, reverse=True)) == numbers


def test_growing_catalog_keeps_most_bits() -> None:
    """Adding a type changes the bits of few others, so that stored events need not be folded again."""
    names = [f"shop.thing{n}.requested.v1" for n in range(20)]
    before, after = stable_bits(names), stable_bits([*names, "shop.another.requested.v1"])
    assert sum(before[name] != after[name] for name in names) <= 2


@pytest.mark.parametrize("chain", CATALOG.chains)
def test_every_chain_of_the_catalog_has_a_path(chain: str) -> None:
    """Every chain is stored with at least one path."""
    assert ChainDefinitions.of(CATALOG).paths[chain]


def test_disabled_chains_are_defined() -> None:
    """Restricting a catalog to some chains does not change the definitions."""
    catalog = Catalog.default()
    assert ChainDefinitions.of(catalog.only("agent-execution")) == ChainDefinitions.of(catalog)
