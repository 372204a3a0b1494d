"""Catalogs are written as YAML that reads back as the same catalog."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from catalog import Catalog, CatalogError, InvalidCatalog
from catalog.bootstrap import Sketch
from catalog.bootstrap.flow import flow
from catalog.bootstrap.layout import WIDTH
from catalog.source import read

texts = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]))
scalars = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), texts)
values = st.recursive(scalars, lambda inner: st.lists(inner) | st.dictionaries(texts, inner), max_leaves=8)


def test_the_shipped_catalog_reads_back_as_it_was(tmp_path: Path) -> None:
    """Nothing is lost, not even the order."""
    file = tmp_path / "all.yaml"
    file.write_text(Sketch(catalog=Catalog.default()).text(), encoding="utf-8")
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
        document = read(file, mistakes)
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
    sketch = Sketch(
        catalog=Catalog.default(),
        notes={far: ["ks 0.01"], ("chains", chain, "weight"): ["w" * WIDTH]},
        head=["first", "", "third"],
    )
    lines = sketch.text().splitlines()
    assert lines[:3] == ["# first", "#", "# third"]
    assert "        next: [{to: completed, delay: {uniform: [20, 50]}}]  # ks 0.01" in lines
    above = lines.index(f"    # {'w' * WIDTH}")
    assert lines[above + 1] == "    weight: 8"


def test_a_catalog_with_mistakes_is_not_written() -> None:
    """What `lint` would refuse is refused before."""
    off = Catalog.default().with_weights(dict.fromkeys(Catalog.default().chains, 0))
    with pytest.raises(CatalogError, match="no catalog can be made of this: chains"):
        Sketch(catalog=off).text()


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
        InvalidCatalog, match=r"shop.yaml:3: partitions.shop.bill: expected at least 1 partition, got 0"
    ):
        Catalog.load(file, extend=False)
