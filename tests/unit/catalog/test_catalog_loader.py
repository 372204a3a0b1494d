"""Loading files and folders: later ones extend or replace the definitions of earlier ones, by name."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from eventbus.catalog import Catalog, Exponential, Fixed, InvalidCatalog, LogNormal, Mistake, Role, Uniform, UnknownName
from eventbus.catalog.export.asyncapi import example_payload

LoadText = Callable[..., Catalog]


def test_a_file_on_its_own(shop: str, load_text: LoadText) -> None:
    """`extend=False` leaves the shipped catalog out."""
    catalog = load_text(shop)
    assert list(catalog.chains) == ["order"]
    assert list(catalog.lists) == ["item", "city"]
    assert catalog.partitions == {"shop.order": 2}
    assert catalog.event_type("shop.order.lost.v1").source == "shop"
    assert list(catalog.chain("order").states) == ["placed", "packed", "shipped", "lost"]


def test_a_file_on_top_of_the_shipped_catalog(shop: str, load_text: LoadText) -> None:
    """By default, a file extends the shipped catalog."""
    catalog = load_text(shop, extend=True)
    assert {"order", "agent-execution"} <= set(catalog.chains)


def test_a_later_path_replaces_by_name(shop: str, load_text: LoadText) -> None:
    """Event types, chains, lists and partitions of the same name are replaced as a whole; the others stay."""
    later = """
        domain: shop.order
        source: other
        partitions: 9
        lists: {city: [Bonn]}
        events: {shop.order.lost.v1: {description: It is gone.}}
    """
    catalog = load_text(shop, later)
    assert catalog.partitions == {"shop.order": 9}
    assert catalog.lists["city"] == ("Bonn",)
    assert len(catalog.lists["item"]) == 2
    lost = catalog.event_type("shop.order.lost.v1")
    assert (lost.source, lost.payload) == ("other", ())
    assert catalog.event_type("shop.order.placed.v1").source == "shop"


def test_every_domain_has_partitions(shop: str, load_text: LoadText) -> None:
    """A domain for which no file gives partitions has four, so that `partitions` names every topic."""
    catalog = load_text(shop, "source: s\nevents: {shop.stock.counted.v1: {}}")
    assert catalog.partitions == {"shop.order": 2, "shop.stock": 4}


def test_a_replaced_list_shows_in_the_fields_that_draw_from_it(shop: str, load_text: LoadText) -> None:
    """Picks are followed in the merged catalog, not file by file."""
    catalog = load_text(shop, "lists: {city: [Bonn]}")
    city = catalog.event_type("shop.order.placed.v1").payload[1]
    assert city.allowed == ("Bonn",)


def test_a_list_can_be_extended(shop: str, load_text: LoadText) -> None:
    """`{extend: […]}` keeps the earlier items."""
    assert load_text(shop, "lists: {city: {extend: [Bonn]}}").lists["city"] == ("Rome", "Oslo", "Bonn")


def test_the_shipped_agents_can_be_extended(load_text: LoadText) -> None:
    """A user adds an agent without repeating the others."""
    catalog = load_text("lists: {agent: {extend: [{name: agent-mine, capability: all}]}}", extend=True)
    assert len(catalog.lists["agent"]) == len(Catalog.default().lists["agent"]) + 1


def test_a_folder_is_read_file_by_file(tmp_path: Path, shop: str) -> None:
    """All `*.yaml` and `*.yml` files of a folder form one catalog and may refer to each other."""
    head, events = shop.split("events:\n")
    (tmp_path / "b.yaml").write_text(head)
    (tmp_path / "a.yml").write_text("source: shop\nevents:\n" + events)
    assert list(Catalog.load(tmp_path, extend=False).chains) == ["order"]


def test_a_mistake_in_a_replaced_definition_does_not_matter(shop: str, load_text: LoadText) -> None:
    """Only what is used is validated: a chain that a later path replaces may have unknown references."""
    broken = shop.replace("emits: shop.order.lost.v1", "emits: shop.order.stolen.v1")
    assert "order" in load_text(broken, shop).chains


def test_every_kind_of_delay(shop: str, load_text: LoadText) -> None:
    """Delays are read in all four forms, with their bounds."""
    delays = {
        "{fixed: 7}": Fixed(value=7),
        "{uniform: [1.5, 2]}": Uniform(minimum=1.5, maximum=2),
        "{exponential: {mean: 3}}": Exponential(mean=3),
        "{exponential: {mean: 3, min: 1, max: 9}}": Exponential(mean=3, minimum=1, maximum=9),
        "{lognormal: {median: 3, p95: 8}}": LogNormal(median=3, p95=8),
        "{lognormal: {median: 3, p95: 8, min: 1, max: 20}}": LogNormal(median=3, p95=8, minimum=1, maximum=20),
    }
    for text, delay in delays.items():
        catalog = load_text(shop.replace("{uniform: [1, 5]}", text))
        assert catalog.chain("order").states["placed"].next[0].delay == delay


def test_weights_may_sum_as_declared(shop: str, load_text: LoadText) -> None:
    """`total` replaces the default of 100."""
    text = shop.replace("weight: 90", "weight: 2").replace("weight: 10", "weight: 1")
    state = (
        load_text(text.replace("packed.v1\n        next", "packed.v1\n        total: 3\n        next"))
        .chain("order")
        .states
    )
    assert [t.weight for t in state["packed"].next] == [2, 1]
    assert state["packed"].total == 3


def test_a_single_transition_has_the_whole_weight(shop: str, load_text: LoadText) -> None:
    """An only transition needs no weight."""
    assert load_text(shop).chain("order").states["placed"].next[0].weight == 100


def test_thirds_sum_to_a_hundred(shop: str, load_text: LoadText) -> None:
    """The sum of decimal weights tolerates binary rounding."""
    text = shop.replace("weight: 90", "weight: 99.9").replace("weight: 10", "weight: 0.1")
    assert load_text(text).chain("order").states["packed"].next[1].weight == 0.1


@pytest.mark.parametrize(
    ("written", "read"),
    [("no", "no"), ("on", "on"), ("010", "010"), ("12:30", "12:30"), ("2026-01-01", "2026-01-01"), ("1_000", "1_000")],
)
def test_texts_stay_texts(written: str, read: str, shop: str, load_text: LoadText) -> None:
    """As in YAML 1.2, `no` is not false, a time is not a number of seconds, and a date is not an object."""
    assert load_text(shop.replace("[Rome, Oslo]", f"[{written}]")).lists["city"] == (read,)


@pytest.mark.parametrize(("written", "read"), [("7", 7), ("-7", -7), ("0.5", 0.5), ("1e3", 1000.0), (".5", 0.5)])
def test_numbers_are_numbers(written: str, read: float, shop: str, load_text: LoadText) -> None:
    """Integers and decimal numbers are read as such."""
    value = load_text(shop + "", f"lists: {{n: [{written}]}}").lists["n"][0]
    assert (value, type(value)) == (read, type(read))


def test_anchors_work(shop: str, load_text: LoadText) -> None:
    """A value may be written once and used twice."""
    text = shop.replace("delay: {uniform: [1, 5]}", "delay: &d {uniform: [1, 5]}").replace(
        "90, delay: {fixed: 3}", "90, delay: *d"
    )
    states = load_text(text).chain("order").states
    assert states["packed"].next[0].delay == states["placed"].next[0].delay


def test_an_unknown_name_says_what_there_is() -> None:
    """The error for an unknown chain or event type suggests the most similar name."""
    with pytest.raises(UnknownName, match=r"no chain 'agent-executon' in the catalog \(did you mean 'agent-execution'"):
        Catalog.default().chain("agent-executon")
    with pytest.raises(UnknownName, match="no event type 'x'"):
        Catalog.default().event_type("x")


def test_a_catalog_of_some_chains() -> None:
    """`only` switches the named chains on and all others off; the catalog still has all of them."""
    every = Catalog.default()
    some = every.only("pattern-discovery", "vault-read")
    weights = {name: chain.weight for name, chain in some.chains.items()}
    assert weights == {**dict.fromkeys(every.chains, 0), "pattern-discovery": 1, "vault-read": 8}


def test_other_weights() -> None:
    """`with_weights` changes the shares of the named chains."""
    changed = Catalog.default().with_weights({"vault-read": 0})
    assert changed.chain("vault-read").weight == 0
    assert changed.chain("agent-execution").weight == 20


def test_two_chains_may_start_alike(shop: str, load_text: LoadText) -> None:
    """One event type may start several chains."""
    twice = shop + shop[shop.index("  order:\n") :].replace("  order:", "  order-again:")
    catalog = load_text(twice)
    assert catalog.chain("order").root == catalog.chain("order-again").root
    assert catalog.conformance.classify("shop.order.placed.v1") == (None, Role.REQUESTED)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])  # the fixture is a constant text
@given(data=st.data())
def test_whatever_is_written_gets_an_answer(
    data: st.DataObject, shop: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """A catalog with any value replaced is refused with a report, or it loads and everything in it works."""
    document = yaml.safe_load(shop)
    for _ in range(data.draw(st.integers(1, 3))):
        _replace_some_value(document, data)
    path = tmp_path_factory.mktemp("fuzz") / "catalog.yaml"
    path.write_text(yaml.safe_dump(document, allow_unicode=True), encoding="utf-8")
    mistakes: tuple[Mistake, ...] = ()
    try:
        catalog = Catalog.load(path, extend=False)
    except InvalidCatalog as error:
        mistakes = error.mistakes
    else:
        assert catalog.conformance.accepted.keys() == catalog.chains.keys()
        for event in catalog.events.values():
            assert catalog.validate(event.name, example_payload(event)) == []
    assert all(mistake.file == str(path) and mistake.line >= 1 and mistake.problem for mistake in mistakes)


def _replace_some_value(document: Any, data: st.DataObject) -> None:
    at = document
    while True:
        keys = list(at) if isinstance(at, dict) else list(range(len(at)))
        key = data.draw(st.sampled_from(keys))
        if not isinstance(at[key], dict | list) or not at[key] or data.draw(st.integers(0, 3)) == 0:
            at[key] = data.draw(JSON | st.sampled_from(WORDS).map(copy.deepcopy))
            return
        at = at[key]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False) | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=5,
)
WORDS = ["placed", "item", "item.name", "city", "shop.order.lost.v1", 0, 100, {"fixed": 0}, {"list": "city"}, []]
