"""The generator against the slow and obvious one: the same bytes, however the work is cut."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eventbus.catalog import Catalog
from eventbus.chains import ChainGenerator
from tests.unit.chains.catalogs import catalogs
from tests.unit.chains.reference import reference
from tests.unit.chains.topologies import topologies

CHAINS = 150


def lines(generator: ChainGenerator, chains: int) -> list[bytes]:
    return [line for some in generator.lines(chains=chains) for line in some]


@pytest.fixture(scope="module")
def everything() -> Catalog:
    """The shipped catalog with the chains that are off by default, which loop."""
    return Catalog.default().with_weights({"pattern-discovery": 15, "compliance-validation": 15})


@pytest.mark.parametrize("rate", [0.2, 10.0, 500_000.0], ids=["apart", "overlapping", "crowded"])
@pytest.mark.parametrize("block", [None, 1, 13, 149, 150])
def test_the_shipped_catalog_gives_the_reference_bytes(everything: Catalog, rate: float, block: int | None) -> None:
    """Any rate and any block size give the bytes of one chain at a time and a sort at the end."""
    generator = ChainGenerator(everything, seed=7, rate=rate, block=block)
    assert lines(generator, CHAINS) == reference(everything, seed=7, chains=CHAINS, rate=rate)


@given(catalog=catalogs(), seed=st.integers(), block=st.integers(1, 40), rate=st.sampled_from([0.5, 20.0, 1e6]))
@settings(max_examples=60, deadline=None)
def test_any_catalog_gives_the_reference_bytes(catalog: Catalog, seed: int, block: int, rate: float) -> None:
    """Every payload source, delay, loop and step limit means the same to the columns as to a dict."""
    generator = ChainGenerator(catalog, seed=seed, rate=rate, block=block)
    expected = reference(catalog, seed=seed, chains=30, rate=rate)
    assert lines(generator, 30) == expected
    assert [event.to_bytes() for event in generator.events(chains=30)] == expected


@given(catalog=topologies(), seed=st.integers(), block=st.integers(1, 40), rate=st.sampled_from([0.5, 20.0, 1e6]))
@settings(max_examples=100, deadline=None)
def test_any_topology_gives_the_reference_bytes(catalog: Catalog, seed: int, block: int, rate: float) -> None:
    """Forks within forks, retries, timeouts, compensation, caused chains and slow items mean the same to columns."""
    generator = ChainGenerator(catalog, seed=seed, rate=rate, block=block)
    assert lines(generator, 30) == reference(catalog, seed=seed, chains=30, rate=rate)
