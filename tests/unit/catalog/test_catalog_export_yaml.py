"""Catalogs are written as YAML that reads back as the same catalog."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from eventbus.catalog import Catalog, CatalogError, InvalidCatalog
from eventbus.catalog.export.yaml import WIDTH, flow
from eventbus.catalog.infer import DraftCatalog
from eventbus.catalog.reading.document import read_document

texts = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]))
integers = st.integers(-(2**63), 2**63 - 1)
scalars = st.one_of(st.none(), st.booleans(), integers, st.floats(allow_nan=False, allow_infinity=False), texts)
values = st.recursive(scalars, lambda inner: st.lists(inner) | st.dictionaries(texts, inner), max_leaves=8)


def test_the_shipped_catalog_reads_back_as_it_was(tmp_path: Path) -> None:
    """Nothing is lost, not even the order."""
    file = tmp_path / "all.yaml"
    file.write_text(DraftCatalog(catalog=Catalog.default()).text(), encoding="utf-8")
    loaded = Catalog.load(file)
    assert loaded == Catalog.default()
    assert list(loaded.chains) == list(Catalog.default().chains)


@given(values)
def test_flow_style_is_yaml_and_core_yaml(value: Any) -> None:
    """Any JSON value reads back as itself, whichever version of YAML the reader speaks."""
    import tempfile

    line = f"value: {flow(value)}\n"
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "one.yaml"
        file.write_text(line, encoding="utf-8", newline="")
        mistakes: list[Any] = []
        document = read_document(file, mistakes)
        assert document is not None
        assert document.plain() == {"value": value}
        assert mistakes == []


@pytest.mark.parametrize(
    "word", ["no", "Yes", "on", "null", "~", "12:30", "010", "1e3", "a: b", "a #b", "- a", "", " a"]
)
def test_texts_that_look_like_something_else_are_quoted(word: str) -> None:
    """Also for readers of YAML 1.1, where `no` is false."""
    assert yaml.safe_load(flow([word])) == [word]


def test_notes_stand_at_the_value_they_are_about() -> None:
    """At the end of its line, or above it where there is no room."""
    chain = "vault-read"
    far = ("chains", chain, "states", "requested", "next", 0, "delay")
    draft = DraftCatalog(
        catalog=Catalog.default(),
        notes={far: ["ks 0.01"], ("chains", chain, "weight"): ["w" * WIDTH]},
        head=["first", "", "third"],
    )
    lines = draft.text().splitlines()
    assert lines[:3] == ["# first", "#", "# third"]
    assert "        next: [{to: completed, delay: {uniform: [20, 50]}}]  # ks 0.01" in lines
    above = lines.index(f"    # {'w' * WIDTH}")
    assert lines[above + 1] == "    weight: 8"


def test_a_catalog_with_mistakes_is_not_written() -> None:
    """What `lint` would refuse is refused before."""
    off = Catalog.default().with_weights(dict.fromkeys(Catalog.default().chains, 0))
    with pytest.raises(CatalogError, match="no catalog can be made of this: chains"):
        DraftCatalog(catalog=off).text()


def test_a_file_alone_forgets_what_came_before(tmp_path: Path, shop: str) -> None:
    """`alone: true` leaves nothing of earlier paths, and all of the file's own folder."""
    (tmp_path / "1.yaml").write_text("alone: true\n" + shop.replace("lists:", "lists:\n  town: [Bern]"))
    (tmp_path / "0.yaml").write_text("lists: {colour: [red]}\n")
    loaded = Catalog.load(tmp_path)
    assert set(loaded.chains) == {"order"}
    assert set(loaded.lists) == {"colour", "town", "item", "city"}
    (tmp_path / "1.yaml").write_text(shop)
    assert set(Catalog.load(tmp_path).chains) > {"order", "vault-read"}


def test_partitions_of_several_domains(tmp_path: Path, shop: str) -> None:
    """A mapping names the domains; a bad number is a mistake with its line."""
    text = shop.replace("partitions: 2", "partitions: {shop.order: 3, shop.bill: 5}")
    file = tmp_path / "shop.yaml"
    file.write_text(text)
    assert Catalog.load(file, extend=False).partitions == {"shop.order": 3, "shop.bill": 5}
    file.write_text(text.replace("5", "0"))
    with pytest.raises(
        InvalidCatalog, match=r"shop.yaml:3: partitions.shop.bill: expected 1 to 10,000 partitions, got 0"
    ):
        Catalog.load(file, extend=False)


EVERYTHING = """\
lists:
  airline: [{name: blue}, {name: red}]
  bank: [{name: north, airlines: [blue]}, {name: south, airlines: [blue, red]}]
events:
  trip.booking.asked.v1:
    source: desk
    payload:
      airline: {type: string, var: airline.name}
      seat: {type: string, var: seat, template: "seat-{}"}
  trip.flight.booked.v1:
    source: desk
    payload: {attempt: {type: integer, attempt: true}, took_ms: {type: integer, elapsed: true}}
  trip.hotel.booked.v1: {source: desk, schema_version: 2.0.0}
  trip.hotel.refused.v1: {source: desk}
  trip.flight.undone.v1: {source: desk}
  trip.booking.done.v1: {source: desk}
  trip.booking.failed.v1: {source: desk}
  trip.bill.asked.v1: {source: bank}
  trip.bill.paid.v1: {source: bank}
chains:
  bill:
    weight: 0
    variables:
      bank: {list: bank, factor: {p95: 2}}
      clerk: {list: airline, per: bank}
      desk: {list: airline, where: {name: bank.airlines}}
    start: asked
    states:
      asked: {emits: trip.bill.asked.v1, next: [{to: paid, delay: {exponential: {mean: 5}}, scaled_by: bank}]}
      paid: {emits: trip.bill.paid.v1, outcome: completed}
  trip:
    weight: 1
    max_steps: 20
    variables:
      airline: {list: airline, factor: {p95: 3}}
      seat: {min: 1, max: 99, zipf: true}
    start: asked
    states:
      asked:
        emits: trip.booking.asked.v1
        fork:
          branches: [{to: flight, delay: {fixed: 1}}, {to: hotel, delay: {fixed: 2}}]
          join:
            to: done
            delay: {fixed: 3}
            unless: [{state: refused, to: failed, delay: {fixed: 4}, compensate: true}]
        causes: [{chain: bill, weight: 40, delay: {uniform: [1, 2]}}]
      flight:
        emits: trip.flight.booked.v1
        compensation: {state: undone, delay: {fixed: 6}}
      hotel:
        emits: trip.hotel.booked.v1
        total: 10
        abandon: 1
        timeout: {after: 900, to: refused}
        next:
          - {to: booked, weight: 6, delay: {lognormal: {median: 5, p95: 9, max: 99}}}
          - to: hotel
            weight: 3
            retry:
              limit: 2
              backoff: {initial: 100, factor: 3, max: 800, jitter: 0.1}
              else: {to: refused, delay: {fixed: 1}}
      booked: {emits: trip.flight.booked.v1}
      refused: {emits: trip.hotel.refused.v1}
      undone: {emits: trip.flight.undone.v1}
      done: {emits: trip.booking.done.v1, outcome: completed}
      failed: {emits: trip.booking.failed.v1, outcome: failed}
"""


def test_everything_that_a_chain_may_have_reads_back(tmp_path: Path) -> None:
    """Forks, retries, timeouts, compensation, caused chains, factors: nothing that a file may say is lost."""
    file = tmp_path / "all.yaml"
    file.write_text(EVERYTHING, encoding="utf-8")
    known = Catalog.load(file, extend=False)
    file.write_text(DraftCatalog(catalog=known).text(), encoding="utf-8")
    assert Catalog.load(file) == known


def test_whatever_a_file_may_say_is_in_this_test() -> None:
    """A word that the reader learns has to be written as well."""
    from eventbus.catalog.reading.chains import CHAIN, STATE, TRANSITION, VARIABLE

    words = set(re.findall(r"(\w+):", EVERYTHING))
    assert {*CHAIN, *STATE, *TRANSITION, *VARIABLE} - words == {
        "description",
        "exclusive",
        "visitors",
    }  # which the shipped one has
