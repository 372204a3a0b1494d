"""Events as objects are those that their lines decode to."""

from __future__ import annotations

from itertools import chain as flatten

import pytest

from eventbus import Event
from eventbus.catalog import Scenario
from eventbus.catalog.model import Tenants
from eventbus.chains import ChainGenerator
from tests.unit.chains.catalogs import field, two_steps


def assert_equal_to_lines(generator: ChainGenerator, chains: int) -> list[Event]:
    """Compares the events with their lines, decoded by the validating constructor; returns them."""
    events = list(generator.events(chains=chains))
    assert events == [Event.from_bytes(line) for line in flatten.from_iterable(generator.lines(chains=chains))]
    assert all(type(event) is Event for event in events)
    assert len(events) > chains
    return events


@pytest.mark.parametrize("name", Scenario.names())
def test_objects_are_the_decoded_lines_of_every_scenario(name: str) -> None:
    """Chains with forks and caused chains, sessions, phases and several tenants."""
    assert_equal_to_lines(ChainGenerator.from_scenario(name), 40)


def test_tenants_and_the_envelope_are_in_the_objects() -> None:
    """Of several tenants each event has its own; texts with quotes stay as they are."""
    events = assert_equal_to_lines(ChainGenerator(seed=1, tenants=Tenants(count=5), namespace='a "b" \\ {c}'), 100)
    assert len({event.tenant_id for event in events}) == 5
    assert_equal_to_lines(ChainGenerator(seed=1, tenant_id="naïve 'tenant'"), 20)


def test_every_kind_of_payload_value() -> None:
    """Nested objects, lists, wide and decimal numbers, and texts around each."""
    catalog = two_steps(
        field("it's", value="{0} 'quoted' \"twice\" \\ 東京"),
        field("nothing", value=None),
        field("inner", type="object", fields=(field("deep", minimum=0, maximum=10**6), field("empty", value=[]))),
        field("list", choices=([1, {"a": 2}], "text", 3.5)),
        field("number", type="number", minimum=0, maximum=5, decimals=4),
        field("small", type="number", minimum=-1, maximum=1, decimals=1),
        field("id", minimum=0, maximum=9, template="no. {} of {{}}"),
        field("long", minimum=10**9, maximum=10**10, template="run-{}"),
        field("fraction", type="number", minimum=0, maximum=1, decimals=6, template="{}%"),
        field("elapsed", elapsed=True, type="integer"),
    )
    events = assert_equal_to_lines(ChainGenerator(catalog, seed=3), 300)
    assert {type(event.payload["list"]) for event in events if event.payload} == {list, str, float}


def test_payloads_belong_to_their_events() -> None:
    """An event's payload may be changed without changing that of another event, or of another run."""
    catalog = two_steps(field("list", choices=([1], [2])), field("constant", value={"a": [1]}))
    generator = ChainGenerator(catalog, seed=3)
    for event in generator.events(chains=50):
        if event.payload:
            event.payload["list"].append("changed")
            event.payload["constant"]["a"].append("changed")
    assert_equal_to_lines(generator, 50)
