"""Sequences: numbers of chains and of events, the same however a run is cut."""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from eventbus.catalog import Catalog, InvalidCatalog
from eventbus.catalog.export.jsonschema import payload_schema
from eventbus.catalog.export.yaml import catalog_document, yaml_text
from eventbus.chains import ChainGenerator
from eventbus.event import Event
from tests.unit.chains import test_chains_avro, test_chains_protobuf
from tests.unit.chains.catalogs import catalog_of, chain, event, field, state, way

START = datetime(2026, 1, 1, tzinfo=UTC)
FIELDS = (
    field("order", type="integer", sequence="run", start=1000),
    field("number", type="integer", sequence="key"),
)
STATES = (state("asked", way("answered")), state("answered", way("asked"), way("closed")), state("closed"))
CATALOG = catalog_of(
    chain("talk", *STATES), events=tuple(event(name, *FIELDS) for name in ("asked", "answered", "closed"))
)
ORDER = """
alone: true
domain: shop.order
source: shop
events:
  shop.order.placed.v1:
    payload:
      order: {type: integer, sequence: run, start: 1000}
      number: {type: integer, sequence: key}
  shop.order.shipped.v1: {}
chains:
  order:
    weight: 1
    start: placed
    states:
      placed:
        emits: shop.order.placed.v1
        next: [{to: shipped, delay: {fixed: 5}}]
      shipped: {emits: shop.order.shipped.v1, outcome: completed}
"""


def generator(block: int | None = None) -> ChainGenerator:
    return ChainGenerator(CATALOG, seed=7, rate=50.0, start=START, block=block)


def lines(generator: ChainGenerator, chains: int) -> list[bytes]:
    return [line for some in generator.lines(chains=chains) for line in some]


def load(path: Path, text: str) -> Catalog:
    path.write_text(text)
    return Catalog.load(path, extend=False)


def test_chains_and_their_events_are_numbered() -> None:
    """Chains have consecutive numbers in the order in which they begin, and the events of a chain in theirs."""
    chains: dict[str, list[Event]] = defaultdict(list)
    for happened in generator().events(chains=200):
        chains[happened.correlation_id].append(happened)
    orders = [{happened.payload["order"] for happened in events} for events in chains.values()]
    assert orders == [{1000 + number} for number in range(200)]
    assert max(map(len, chains.values())) > 3
    for events in chains.values():
        assert [happened.payload["number"] for happened in events] == list(range(1, len(events) + 1))


@pytest.mark.parametrize("block", [1, 7, 199])
def test_any_block_gives_the_same_numbers(block: int) -> None:
    """Numbers do not depend on how many chains are made together."""
    assert lines(generator(block), 200) == lines(generator(), 200)


def test_a_window_and_a_single_chain_have_the_numbers_of_the_run() -> None:
    """Whoever makes a part of a run alone need not make what comes before."""
    every = lines(generator(), 200)
    since = START + timedelta(seconds=1)
    part = b"".join(
        bytes(block.buffer) for block in generator().window(since, since + timedelta(seconds=1), chains=200)
    ).splitlines()
    assert 0 < len(part) < len(every)
    assert part == every[every.index(part[0]) :][: len(part)]
    alone = bytes(generator().alone(41).buffer).splitlines()
    assert alone == [line for line in every if b'"order":1041,' in line]


def test_two_workers_write_the_same_numbers() -> None:
    """Each of them numbers only the events that it writes."""
    texts = [
        b"".join(bytes(block.buffer) for block in generator().blocks(chains=6000, workers=workers))
        for workers in (1, 2)
    ]
    assert texts[0] == texts[1]
    assert b'"order":6999,' in texts[0]


def test_numbers_in_typed_formats() -> None:
    """Avro and Protocol Buffers have the numbers of the JSON events."""
    assert len(test_chains_avro.check_file(generator(), 50)) == 3
    assert len(test_chains_protobuf.check_file(generator(), 50)) == 3


def test_schema_and_document(tmp_path: Path) -> None:
    """The smallest number is a bound, and a written catalog is read as the same."""
    catalog = load(tmp_path / "order.yaml", ORDER)
    placed = catalog.event_type("shop.order.placed.v1")
    assert payload_schema(placed)["properties"] == {
        "order": {"type": "integer", "minimum": 1000},
        "number": {"type": "integer", "minimum": 1},
    }
    assert catalog.validate(placed.name, {"order": 1000, "number": 1}) == []
    assert [problem.field for problem in catalog.validate(placed.name, {"order": 999, "number": 1})] == [
        "payload.order"
    ]
    assert load(tmp_path / "again.yaml", yaml_text(catalog_document(catalog), {})) == catalog


@pytest.mark.parametrize(
    ("old", "new", "path", "problem"),
    [
        ("sequence: key", "sequence: keys", "number.sequence", "expected one of run, key, got 'keys' (did you mean"),
        ("integer, sequence: key", "string, sequence: key", "number.type", "a sequence has integers, got string"),
        ("sequence: key", "min: 1, max: 2, start: 3", "number.start", "start belongs to a sequence"),
        ("start: 1000", "start: 1.5", "order.start", "a whole number"),
        ("sequence: key", "sequence: key, attempt: true", "number", "got attempt and sequence"),
    ],
)
def test_mistakes(tmp_path: Path, old: str, new: str, path: str, problem: str) -> None:
    """A slip gives one mistake."""
    with pytest.raises(InvalidCatalog) as error:
        load(tmp_path / "order.yaml", ORDER.replace(old, new))
    [mistake] = error.value.mistakes
    assert mistake.where == f"events.shop.order.placed.v1.payload.{path}"
    assert problem in mistake.problem


def test_events_of_chains_with_branches_have_no_numbers(tmp_path: Path) -> None:
    """Neither where a chain causes another, nor in the one that is caused."""
    other = (
        ORDER.replace("alone: true", "")
        .replace("shop.order", "shop.parcel")
        .replace("order:\n    weight", "parcel:\n    weight")
    )
    (tmp_path / "parcel.yaml").write_text(other)
    causes = "\n        causes: [{chain: parcel, weight: 50, delay: {fixed: 1}}]"
    (tmp_path / "order.yaml").write_text(ORDER.replace("delay: {fixed: 5}}]", "delay: {fixed: 5}}]" + causes))
    with pytest.raises(InvalidCatalog) as error:
        Catalog.load(tmp_path / "order.yaml", tmp_path / "parcel.yaml", extend=False)
    assert {
        (mistake.where, "numbers the events of a chain" in mistake.problem) for mistake in error.value.mistakes
    } == {
        ("chains.order.states.placed.emits", True),
        ("chains.parcel.states.placed.emits", True),
    }
