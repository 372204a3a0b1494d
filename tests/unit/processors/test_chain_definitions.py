"""What the database learns of a catalog: a role and a bit for each type, and the ways through each chain."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventbus.catalog import Catalog
from eventbus.processors.store.definitions import BITS, ChainDefinitions, stable_bits

CATALOG = Catalog.default()


def test_every_way_through_a_chain_is_a_mask_of_its_types() -> None:
    """The two ways of an agent execution share three types and differ in how they end."""
    definitions = ChainDefinitions.of(CATALOG)
    prefix = "omninode.agent."
    shared = ("routing.requested.v1", "routing.completed.v1", "execution.started.v1")
    bits = [definitions.types[prefix + name].bit for name in shared]
    endings = [definitions.types[f"{prefix}execution.{name}.v1"] for name in ("completed", "failed")]
    assert definitions.paths["agent-execution"] == {sum(bits) + ending.bit for ending in endings}
    assert [ending.role for ending in endings] == [3, 4]
    assert definitions.types[prefix + shared[0]][:2] == ("agent-execution", 1)


def test_types_have_bits_of_their_own() -> None:
    """While there are bits enough, no two types of a catalog share one, and none has the bit of strangers."""
    bits = [definition.bit for definition in ChainDefinitions.of(CATALOG).types.values()]
    assert len(set(bits)) == len(bits)
    assert all(bit.bit_count() == 1 and bit < 1 << BITS for bit in bits)


def test_chains_that_begin_alike_are_one_choice() -> None:
    """A type that starts several chains names them all, and any of their ways conforms."""
    chain = CATALOG.chain("vault-read")
    twice = replace(CATALOG, chains={**CATALOG.chains, "vault-again": replace(chain, name="vault-again")})
    definitions = ChainDefinitions.of(twice)
    assert definitions.types[chain.root].chain == "vault-again | vault-read"
    assert definitions.paths["vault-again | vault-read"] == ChainDefinitions.of(CATALOG).paths["vault-read"]


@given(st.sets(st.text(), max_size=BITS))
def test_up_to_62_names_have_numbers_of_their_own(names: set[str]) -> None:
    """Each number is used once, whatever the names; the order in which they come does not matter."""
    numbers = stable_bits(names)
    assert set(numbers) == names
    assert len(set(numbers.values())) == len(names)
    assert all(0 <= number < BITS for number in numbers.values())
    assert stable_bits(sorted(names, reverse=True)) == numbers


def test_growing_catalog_leaves_most_types_where_they_are() -> None:
    """Adding a type moves few others, so that what is stored need not be folded again."""
    names = [f"shop.thing{n}.requested.v1" for n in range(20)]
    before, after = stable_bits(names), stable_bits([*names, "shop.another.requested.v1"])
    assert sum(before[name] != after[name] for name in names) <= 2


@pytest.mark.parametrize("chain", CATALOG.chains)
def test_every_chain_of_the_catalog_has_a_way(chain: str) -> None:
    """No chain is known to the database without a way through it."""
    assert ChainDefinitions.of(CATALOG).paths[chain]


def test_chains_switched_off_are_known() -> None:
    """Emitting some chains only changes nothing for those of the others that are stored."""
    catalog = Catalog.default()
    assert ChainDefinitions.of(catalog.only("agent-execution")) == ChainDefinitions.of(catalog)
