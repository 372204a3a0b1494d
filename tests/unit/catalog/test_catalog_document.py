"""YAML documents as nodes: values with their lines, absent members, and mistakes."""

from __future__ import annotations

from pathlib import Path

import pytest

from eventbus.catalog import Mistake
from eventbus.catalog.reading.document import YamlNode, read_document


@pytest.fixture
def mistakes() -> list[Mistake]:
    return []


@pytest.fixture
def document(tmp_path: Path, mistakes: list[Mistake]) -> YamlNode:
    path = tmp_path / "document.yaml"
    path.write_text("rate: fast\nsize: 3\n", encoding="utf-8")
    node = read_document(path, mistakes)
    assert node is not None
    return node


def test_an_absent_member_is_empty_and_no_mistake(document: YamlNode, mistakes: list[Mistake]) -> None:
    """It has no text, number, items or members; a default replaces it."""
    members = document.members(("rate", "size", "delay"))
    absent = members["delay"]
    assert "delay" not in members
    assert (absent.text(), absent.number(), absent.integer(), absent.flag(), absent.plain()) == (None,) * 5
    assert (absent.number(1.5), absent.integer(2), absent.flag(True)) == (1.5, 2, True)
    assert (absent.items(), absent.mapping(), absent.one_of(("a", "b"))) == ([], {}, None)
    assert absent.members(("mean",), required=("mean",))["mean"].number() is None
    assert mistakes == []


def test_a_member_of_the_wrong_type_is_a_mistake_and_has_its_default(
    document: YamlNode, mistakes: list[Mistake]
) -> None:
    """A default replaces what cannot be read, and the mistake names the line."""
    members = document.members(("rate", "size"))
    assert (members["rate"].number(1.5), members["size"].number(1.5)) == (1.5, 3)
    assert [(mistake.line, mistake.where, mistake.problem) for mistake in mistakes] == [
        (1, "rate", "expected a number, got 'fast'")
    ]


def test_a_missing_required_member_is_one_mistake(document: YamlNode, mistakes: list[Mistake]) -> None:
    """Reading it afterwards adds none."""
    assert document.members(("rate", "size", "delay"), required=("delay",))["delay"].number(7.0) == 7
    assert [mistake.problem for mistake in mistakes] == ["'delay' is required, but missing"]
