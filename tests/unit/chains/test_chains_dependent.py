"""Values that depend on others: matching items, bounds, computed numbers, counters and filled texts."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eventbus.catalog import Catalog, Fixed, InvalidCatalog, PayloadField, Variable
from eventbus.catalog.export.asyncapi import example_payload
from eventbus.catalog.export.jsonschema import payload_schema
from eventbus.catalog.export.yaml import catalog_document, yaml_text
from eventbus.catalog.model import CausedChain
from eventbus.chains import ChainGenerator
from eventbus.event import Event
from tests.unit.chains import test_chains_avro, test_chains_objects, test_chains_protobuf
from tests.unit.chains.catalogs import catalog_of, chain, event, field, state, way
from tests.unit.chains.reference import reference

PLACES = (
    {"name": "north", "region": "a", "low": 1, "high": 3, "rate": 0.25},
    {"name": "south", "region": "b", "low": 2, "high": 2, "rate": 1},
    {"name": "west", "region": "a", "low": -5, "high": 40_000, "rate": 12.125},
)
SHIPS = (
    {"name": "ant", "regions": ["a"], "note": "to {place}"},
    {"name": "bee", "regions": ["a", "b"], "note": 'ä{n} "{n}" {share} of {place}'},
    {"name": "cat", "regions": ["b"], "note": "{flag} {odd} {"},
)
WORDS = ("plain", "{n}, {share}", "{inner.deep}{inner.deep}", "{coded}!", "\\{took_ms} ms")
VARIABLES = {
    "place": Variable(name="place", list="places"),
    "ship": Variable(name="ship", list="ships", where=(("regions", "place.region"),)),
    "home": Variable(name="home", list="places", where=(("region", "ship.regions"), ("region", "ship.regions"))),
    "code": Variable(name="code", minimum=1, maximum=99_999),
    "own": Variable(name="own", list="words", per="ship"),
}
FIELDS = (
    field("place", var="place.name"),
    field("n", type="integer", minimum={"var": "place.low"}, maximum={"var": "place.high"}),
    field("share", type="number", minimum=0.5, maximum={"field": "n"}, decimals=2),
    field("flag", type="boolean", choices=(True, False)),
    field("odd", type="number", choices=(0.5, -1.25, 3)),
    field("coded", var="code", template="c-{}"),
    field("inner", type="object", fields=(field("deep", type="integer", minimum=0, maximum=70_000),)),
    field("took_ms", type="integer", elapsed=True),
)
DEPENDENT: tuple[Callable[[str], PayloadField], ...] = (
    lambda name: field(name, var="ship.name"),
    lambda name: field(name, var="home.name"),
    lambda name: field(name, var="own"),
    lambda name: field(name, pick="ships.name", where={"regions": "place.region"}),
    lambda name: field(name, pick="ships.note", where={"regions": "place.region"}, fill=True),
    lambda name: field(name, pick="words", fill=True),
    lambda name: field(name, pick="places.name", distinct=True),
    lambda name: field(name, value="{coded}: {took_ms} ms, {n} of {inner.deep}", fill=True),
    lambda name: field(name, choices=WORDS, fill=True),
    lambda name: field(name, choices=("{n}!", "{n}!"), fill=True),
    lambda name: field(name, value="nothing {to fill}", fill=True),
    lambda name: field(name, type="integer", minimum={"field": "n"}, maximum={"field": "took_ms"}),
    lambda name: field(name, type="number", minimum={"var": "place.rate"}, maximum={"field": "inner.deep"}),
    lambda name: field(name, type="integer", of="n"),
    lambda name: field(name, type="integer", of="n", times=(8, 13), plus=(20, 90)),
    lambda name: field(name, type="integer", of="share", times=(-1.5, 2.25), plus={"field": "inner.deep"}),
    lambda name: field(name, type="number", of="n", times={"var": "place.rate"}),
    lambda name: field(name, type="integer", of="n", plus={"field": "share"}),
    lambda name: field(name, type="integer", of="n", times=0.25, plus={"var": "place.rate"}),
    lambda name: field(name, type="number", of="n", times=(0.5, 1.25), plus={"field": "share"}, decimals=1),
    lambda name: field(name, type="integer", of="share", plus=-0.5),
    lambda name: field(name, type="number", of={"var": "place.rate"}, times={"field": "n"}, plus=-0.5, decimals=1),
    lambda name: field(name, type="integer", counter="ship", every="1h", since="2025-12-31"),
    lambda name: field(name, type="integer", counter="place", every=("1s", "90s"), since="2026-01-01T00:00:02"),
)


def catalog_with(*fields: PayloadField) -> Catalog:
    """A chain that emits the fields that others need, and some of these others, twice."""
    states = (state("asked", way("answered", 1500.0)), state("answered"))
    events = tuple(event(name, *FIELDS, *fields) for name in ("asked", "answered"))
    return catalog_of(
        chain("talk", *states, variables=VARIABLES),
        events=events,
        lists={"places": PLACES, "ships": SHIPS, "words": WORDS},
    )


EVERYTHING = catalog_with(*(make(f"x{number}") for number, make in enumerate(DEPENDENT)))


def lines(generator: ChainGenerator, chains: int) -> list[bytes]:
    return [line for some in generator.lines(chains=chains) for line in some]


def payloads(catalog: Catalog, chains: int = 300, rate: float = 10) -> list[dict[str, Any]]:
    """Those of the answers."""
    events = ChainGenerator(catalog, seed=3, rate=rate).events(chains=chains)
    return [one.payload for one in events if one.event_type.endswith("answered.v1")]


@given(
    made=st.lists(st.sampled_from(DEPENDENT), min_size=1, max_size=6),
    seed=st.integers(0, 9),
    block=st.integers(1, 40),
    rate=st.sampled_from([0.01, 20.0]),
)
@settings(max_examples=40, deadline=None)
def test_dependent_values_have_the_reference_bytes(
    made: list[Callable[[str], PayloadField]], seed: int, block: int, rate: float
) -> None:
    """Any of them beside any others mean the same to columns as to a dict, however the run is cut."""
    catalog = catalog_with(*(make(f"x{number}") for number, make in enumerate(made)))
    generator = ChainGenerator(catalog, seed=seed, rate=rate, block=block)
    assert lines(generator, 12) == reference(catalog, seed=seed, chains=12, rate=rate)


def test_all_together_have_the_reference_bytes() -> None:
    """All kinds in one payload."""
    assert lines(ChainGenerator(EVERYTHING, seed=5, rate=2), 200) == reference(EVERYTHING, seed=5, chains=200, rate=2)


def test_a_window_and_a_single_chain_have_the_values_of_the_run() -> None:
    """No value needs what comes before."""
    generator, start = ChainGenerator(EVERYTHING, seed=7, rate=50.0), datetime(2026, 1, 1, tzinfo=UTC)
    every = lines(generator, 300)
    since = start + timedelta(seconds=2)
    window = generator.window(since, since + timedelta(seconds=1), chains=300)
    part = b"".join(bytes(block.buffer) for block in window).splitlines()
    assert len(part) > 20
    assert part == every[every.index(part[0]) :][: len(part)]
    alone = bytes(generator.alone(41).buffer).splitlines()
    assert len(alone) == 2
    assert set(alone) < set(every)


def test_dependent_values_in_typed_formats() -> None:
    """Avro and Protocol Buffers have the values of the JSON events."""
    for check in (test_chains_avro.check_file, test_chains_protobuf.check_file):
        assert len(check(ChainGenerator(EVERYTHING, seed=1, rate=5), 60)) == 2


def test_dependent_values_in_objects() -> None:
    """`Event` objects have the values of the lines."""
    test_chains_objects.assert_equal_to_lines(ChainGenerator(EVERYTHING, seed=1, rate=5), 200)


def test_a_variable_is_an_item_that_matches() -> None:
    """All that match are drawn, equally often, and no other."""
    catalog = catalog_with(field("ship", var="ship.name"), field("region", var="place.region"))
    ships: dict[str, list[str]] = defaultdict(list)
    for payload in payloads(catalog, 3000):
        ships[payload["region"]].append(payload["ship"])
    assert {region: set(names) for region, names in ships.items()} == {"a": {"ant", "bee"}, "b": {"bee", "cat"}}
    for names in ships.values():
        assert abs(names.count("bee") - len(names) / 2) < 2.5 * len(names) ** 0.5


def test_no_item_is_picked_twice_in_a_chain() -> None:
    """Each chain shows all items, in orders that begin with any of them."""
    steps = [state(f"s{number}", way(f"s{number + 1}")) for number in range(4)]
    events = tuple(event(f"s{number}", field("item", pick="items", distinct=True)) for number in range(5))
    catalog = catalog_of(
        chain("talk", *steps, state("s4"), max_steps=5), events=events, lists={"items": tuple("abcde")}
    )
    orders: dict[str, str] = defaultdict(str)
    for one in ChainGenerator(catalog, seed=1, rate=10).events(chains=500):
        orders[one.correlation_id] += one.payload["item"]
    assert {"".join(sorted(order)) for order in orders.values()} == {"abcde"}
    assert len(set(orders.values())) == 20


def test_no_item_is_picked_twice_in_a_caused_chain() -> None:
    """Such chains have orders of their own, although they share the correlation id."""
    steps = [state(f"s{number}", way(f"s{number + 1}")) for number in range(4)]
    caused = chain("caused", *steps, state("s4"), max_steps=5, weight=0)
    causes = (CausedChain(chain="caused", delay=Fixed(value=1), weight=100),)
    states = (state("begun", way("ended", 10_000)), state("ended"))
    causing = chain("causing", *(replace(each, causes=causes) for each in states))
    events = tuple(event(f"s{number}", field("item", pick="items", distinct=True)) for number in range(5))
    catalog = catalog_of(causing, caused, events=events, lists={"items": tuple("abcdef")})
    orders: dict[str, str] = defaultdict(str)
    for one in ChainGenerator(catalog, seed=1, rate=0.1).events(chains=200):
        orders[one.correlation_id] += one.payload.get("item", ".")
    assert len(orders) == 200
    for order in orders.values():
        halves = order.replace(".", "")[:5], order.replace(".", "")[5:]
        assert [len(set(half)) for half in halves] == [5, 5]
    assert len(set(orders.values())) > 50


def test_a_number_lies_between_other_values() -> None:
    """A bound may be another value, and both bounds are drawn; where they are inverted, it is the lower one."""
    catalog = catalog_with(field("m", type="integer", minimum={"field": "n"}, maximum=2))
    seen = {(payload["place"], payload["n"], payload["m"]) for payload in payloads(catalog, 3000)}
    assert {(n, m) for place, n, m in seen if place == "north"} == {(1, 1), (1, 2), (2, 2), (3, 3)}
    assert {(n, m) for place, n, m in seen if place == "south"} == {(2, 2)}


def test_a_number_computed_from_another() -> None:
    """Products and sums are exact; an integer is rounded to the nearest, halves up, also below zero."""
    catalog = catalog_with(
        field("a", type="integer", of="odd"),
        field("b", type="number", of="odd", times=4, plus={"field": "n"}),
        field("c", type="integer", of="odd", times=(2, 3), plus=(10, 11)),
    )
    seen = payloads(catalog, 1000)
    assert {(payload["odd"], payload["a"]) for payload in seen} == {(0.5, 1), (-1.25, -1), (3, 3)}
    assert all(payload["b"] == payload["odd"] * 4 + payload["n"] for payload in seen)
    assert {payload["c"] for payload in seen if payload["odd"] == 3} == {16, 17, 19, 20}


def test_a_counter_grows_with_time() -> None:
    """Each item has its own counter, which every chain shows alike, and which is never set back by a later run."""
    catalog = catalog_with(field("version", type="integer", counter="place", every=["10h", "20h"], since="2025-01-01"))
    versions: dict[str, list[tuple[datetime, int]]] = defaultdict(list)
    for start in (datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 10, tzinfo=UTC)):
        for one in ChainGenerator(catalog, seed=start.day, rate=0.001, start=start).events(chains=1500):
            versions[one.payload["place"]].append((one.timestamp, one.payload["version"]))
    assert len(versions) == 3
    for seen in versions.values():
        ordered = [version for _, version in sorted(seen)]
        assert all(later - earlier in {0, 1} for earlier, later in pairwise(ordered))
        grown = ordered[-1] - ordered[0]
        hours = (max(seen)[0] - min(seen)[0]) / timedelta(hours=1)
        assert hours / 20 - 2 < grown < hours / 10 + 2
    assert len({seen[0][1] for seen in versions.values()}) > 1


def test_a_text_with_the_values_of_others() -> None:
    """Names in braces are replaced, other braces stay."""
    catalog = catalog_with(field("text", value="{n} {} { n } {place}: {share}, {flag}; {inner.deep}", fill=True))
    for payload in payloads(catalog, 100):
        flag = "true" if payload["flag"] else "false"
        expected = f"{payload['n']} {{}} {{ n }} {payload['place']}: {payload['share']}, {flag}; "
        assert payload["text"] == expected + str(payload["inner"]["deep"])


FILE = """
alone: true
domain: shop.order
source: shop
lists:
  product:
    - {name: pen, price: 1.25, most: 9, colours: [blue, red]}
    - {name: desk, price: 180, most: 2, colours: [red]}
  shelf:
    - {number: 3, colour: red, sign: "row {row}"}
    - {number: 8, colour: blue, sign: "row {row}"}
events:
  shop.order.placed.v1:
    payload:
      product: {type: string, var: product.name}
      quantity: {type: integer, min: 1, max: {var: product.most}}
      total: {type: number, of: quantity, times: {var: product.price}, decimals: 2}
      points: {type: integer, of: total, times: [1, 2.5], plus: 3}
      row: {type: integer, min: 1, max: 4}
      shelf: {type: string, pick: shelf.sign, where: {colour: product.colours}, fill: true}
      stand: {type: integer, var: stand.number}
      revision: {type: integer, counter: product, every: [20d, 90d], since: 2024-01-01}
  shop.order.shipped.v1: {}
chains:
  order:
    weight: 1
    variables:
      product: {list: product}
      stand: {list: shelf, where: {colour: product.colours}}
      size: {min: 1, max: 9}
    start: placed
    states:
      placed: {emits: shop.order.placed.v1, next: [{to: shipped, delay: {fixed: 5}}]}
      shipped: {emits: shop.order.shipped.v1, outcome: completed}
"""


def load(path: Path, text: str) -> Catalog:
    path.write_text(text)
    return Catalog.load(path, extend=False)


def test_document_schema_example_and_model(tmp_path: Path) -> None:
    """A written catalog reads back as the same, its example agrees with itself, and its models take its events."""
    catalog = load(tmp_path / "order.yaml", FILE)
    assert load(tmp_path / "again.yaml", yaml_text(catalog_document(catalog), {})) == catalog
    placed = catalog.event_type("shop.order.placed.v1")
    schema = payload_schema(placed)["properties"]
    assert schema["quantity"] == {"type": "integer", "minimum": 1}
    assert schema["revision"] == {"type": "integer", "minimum": 1}
    assert schema["total"] == {"type": "number"}
    example = example_payload(placed)
    assert example["total"] == example["quantity"] * 1.0
    assert example["shelf"] == f"row {example['row']}"
    assert catalog.validate(placed.name, example) == []
    events: list[Event] = list(ChainGenerator(catalog, rate=10).events(chains=50))
    assert len(events) == 100
    for one in events:
        assert catalog.validate(one.event_type, one.payload) == []


PAYLOAD = "events.shop.order.placed.v1.payload"


@pytest.mark.parametrize(
    ("old", "new", "where", "problem"),
    [
        ("where: {colour: product.colours}}", "where: {color: product.colours}}", "chains.order.variables.stand.where",
         "list 'shelf' has no attribute 'color' (did you mean 'colour'?); it has number, colour, sign"),
        ("where: {colour: product.colours}}", "where: {colour: prodct.colours}}", "chains.order.variables.stand.where",
         "no variable 'prodct' in chain order (did you mean 'product'?)"),
        ("where: {colour: product.colours}}", "where: {colour: size}}", "chains.order.variables.stand.where",
         "expected a variable with a list, but 'size' of chain order is a whole number"),
        ("where: {colour: product.colours}}", "where: {colour: stand.colour}}", "chains.order.variables.stand.where",
         "'stand' depends on itself"),
        ("where: {colour: product.colours}}", "where: {colour: product.colours, number: stand}}",
         "chains.order.variables.stand.where", "expected conditions on one variable, got product, stand"),
        ("where: {colour: product.colours}}", "where: blue}", "chains.order.variables.stand.where",
         "expected a mapping, got 'blue'"),
        ("where: {colour: product.colours}}", "where: {colour: product.colours}, per: product}",
         "chains.order.variables.stand.where", "where belongs to a variable with `list` and without `per`"),
        ("most: 2, colours: [red]", "most: 2, colours: [green]", "chains.order.variables.stand.where",
         "no item of list 'shelf' has colour 'green'"),
        ("where: {colour: product.colours}, fill", "where: {colour: product.colour}, fill", f"{PAYLOAD}.shelf.where",
         "list 'product', of chain order, has no attribute 'colour'"),
        ("where: {colour: product.colours}, fill", "distinct: true, fill", f"{PAYLOAD}.shelf.distinct",
         "list 'shelf' has 2 items, but chain order up to 64 events (its `max_steps`)"),
        ("min: 1, max: 4}", "min: 1, max: 4, distinct: true}", f"{PAYLOAD}.row.distinct", "distinct belongs to a"),
        ("min: 1, max: 4}", "min: 1, max: 4, where: {x: y}}", f"{PAYLOAD}.row.where", "where belongs to a `pick`"),
        ("max: {var: product.most}", "max: {var: product.name}", f"{PAYLOAD}.quantity.max",
         "expected an integer, but list 'product', of chain order, holds 'pen'"),
        ("max: {var: product.most}", "max: {var: product.price}", f"{PAYLOAD}.quantity.max", "holds 1.25"),
        ("min: 1, max: {var: product.most}", "min: 3, max: {var: product.most}", f"{PAYLOAD}.quantity.min",
         "min 3 is above max 2 in chain order"),
        ("max: {var: product.most}", "max: {field: total}", f"{PAYLOAD}.quantity.max.field",
         "expected a field of type integer, but 'total' is number"),
        ("max: {var: product.most}}", "max: 8}\n      least: {type: integer, min: {var: size}, max: 8}",
         f"{PAYLOAD}.least.min", "min may be 9, above max 8, in chain order"),
        ("max: {var: product.most}", "max: {feild: total}", f"{PAYLOAD}.quantity.max", "expected a number"),
        ("max: {var: product.most}", "max: {var: prodct.most}", "chains.order.states.placed.emits",
         "takes the variable 'prodct', which this chain does not define"),
        ("times: {var: product.price}", "times: 9007199254740992", f"{PAYLOAD}.total",
         "expected bounds within 62 bits (2 decimals included), got"),
        ("of: quantity", "of: quantty", f"{PAYLOAD}.total.of",
         "no field 'quantty' in the payload (did you mean 'quantity'?)"),
        ("of: quantity", "of: product", f"{PAYLOAD}.total.of",
         "expected a field of type integer, number, but 'product' is string"),
        ("of: quantity", "of: points", f"{PAYLOAD}.total", "the value of 'total' depends on itself"),
        ("{type: integer, of: total", "{type: string, of: total", f"{PAYLOAD}.points.type",
         "a computed number is an integer or a number, got string"),
        ("times: [1, 2.5]", "times: [3, 2.5]", f"{PAYLOAD}.points.times[0]", "3 is above 2.5"),
        ("min: 1, max: 4}", "min: 1, max: 4, times: 3}", f"{PAYLOAD}.row.times", "times belongs to a number computed"),
        ("row {row}\"}\n    - {number: 8", "row {rwo}\"}\n    - {number: 8", f"{PAYLOAD}.shelf.fill",
         "no field 'rwo' in the payload (did you mean 'row'?)"),
        ("type: integer, min: 1, max: 4", "type: integer, min: 1, max: 4, fill: true", f"{PAYLOAD}.row.fill",
         "fill is for texts, got type integer"),
        ("counter: product", "counter: prodct", "chains.order.states.placed.emits",
         "counts for the variable 'prodct', which this chain does not define"),
        ("counter: product", "counter: size", "chains.order.states.placed.emits", "which has no list in this chain"),
        ("every: [20d, 90d]", "every: [90d, 20d]", f"{PAYLOAD}.revision.every", "90d is longer than 20d"),
        ("every: [20d, 90d]", "every: soon", f"{PAYLOAD}.revision.every", "expected a period such as 30d"),
        (", since: 2024-01-01", "", f"{PAYLOAD}.revision.since", "expected a date such as 2022-01-01, got nothing"),
        ("min: 1, max: 4}", "min: 1, max: 4, since: 2024-01-01}", f"{PAYLOAD}.row.since", "since belongs to a counter"),
    ],
)  # fmt: skip
def test_mistakes(tmp_path: Path, old: str, new: str, where: str, problem: str) -> None:
    """A slip gives one mistake, which names the place and what was expected."""
    assert FILE.count(old) == 1
    with pytest.raises(InvalidCatalog) as error:
        load(tmp_path / "order.yaml", FILE.replace(old, new))
    [mistake] = [mistake for mistake in error.value.mistakes if mistake.where == where]
    assert problem in mistake.problem
    assert len({mistake.where for mistake in error.value.mistakes}) <= 2


def test_a_sum_is_rounded_once(tmp_path: Path) -> None:
    """An integer with a number of two decimals added is that sum, rounded: not the number without its point."""
    text = "min: 1, max: 4}\n      price: {type: number, min: 1, max: 2, decimals: 2}"
    text += "\n      sum: {type: integer, of: row, plus: {field: price}}"
    payloads = placed_payloads(load(tmp_path / "order.yaml", FILE.replace("min: 1, max: 4}", text)))
    for payload in payloads:
        exact = Decimal(payload["row"]) + Decimal(repr(payload["price"]))
        assert payload["sum"] == int(exact.quantize(Decimal(1), ROUND_HALF_UP))


def test_a_field_as_the_lower_bound_may_be_above_the_upper_one(tmp_path: Path) -> None:
    """The value is then the lower bound, so neither the model nor the schema has the upper one."""
    text = "min: 1, max: 4}\n      rows: {type: integer, min: {field: row}, max: 2}"
    catalog = load(tmp_path / "order.yaml", FILE.replace("min: 1, max: 4}", text))
    placed = catalog.event_type("shop.order.placed.v1")
    assert payload_schema(placed)["properties"]["rows"] == {"type": "integer"}
    payloads = placed_payloads(catalog)
    assert any(payload["rows"] > 2 for payload in payloads)
    for payload in payloads:
        assert catalog.validate(placed.name, payload) == []


def placed_payloads(catalog: Catalog) -> list[dict[str, Any]]:
    """Those of a hundred orders."""
    events = ChainGenerator(catalog, seed=1).events(chains=100)
    payloads = [placed.payload for placed in events if placed.event_type == "shop.order.placed.v1"]
    assert len(payloads) == 100
    return payloads


def test_a_field_may_have_the_name_that_the_format_has_for_members(tmp_path: Path) -> None:
    """`fields` is found by other fields as any name is."""
    text = "min: 1, max: 4}\n      fields: {type: integer, value: 3}\n      more: {type: integer, of: fields, times: 2}"
    catalog = load(tmp_path / "order.yaml", FILE.replace("min: 1, max: 4}", text))
    assert ChainGenerator(catalog).chain()[0].payload["more"] == 6


@pytest.mark.parametrize("value", ["1.0e+305", "-1.0e+305"])
def test_items_too_large_to_be_computed_with_are_mistakes(tmp_path: Path, value: str) -> None:
    """Not an overflow, also where the other operand is 0."""
    text = FILE.replace("price: 180", f"price: {value}").replace("of: quantity, times:", "of: nothing, times:")
    text = text.replace("min: 1, max: 4}", "min: 1, max: 4}\n      nothing: {type: integer, value: 0}")
    with pytest.raises(InvalidCatalog, match="expected bounds within 62 bits"):
        load(tmp_path / "order.yaml", text)


def test_an_item_matches_or_is_distinct(tmp_path: Path) -> None:
    """Not both: the items that match may be fewer than the events of a chain."""
    with pytest.raises(InvalidCatalog, match="items are picked either with `where` or with `distinct`"):
        load(tmp_path / "order.yaml", FILE.replace("product.colours}, fill", "product.colours}, distinct: true, fill"))


def test_picks_of_one_list_have_one_condition(tmp_path: Path) -> None:
    """Otherwise their attributes would be of different items."""
    second = "      number: {type: integer, pick: shelf.number}\n  shop.order.shipped.v1"
    with pytest.raises(InvalidCatalog, match="all picks of list 'shelf' in one event need the same `where`"):
        load(tmp_path / "order.yaml", FILE.replace("  shop.order.shipped.v1", second, 1))
