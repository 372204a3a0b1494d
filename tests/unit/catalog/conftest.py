"""A small good catalog, and a way to load text as one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from eventbus.catalog import Catalog

SHOP = """\
domain: shop.order
source: shop
partitions: 2
lists:
  item:
    - {name: tea, price: 3}
    - {name: cup, price: 7}
  city: [Rome, Oslo]
events:
  shop.order.placed.v1:
    payload:
      item: {type: string, var: item.name}
      city: {type: string, pick: city}
      count: {type: integer, min: 1, max: 9}
  shop.order.packed.v1:
    payload:
      item: {type: string, var: item.name}
  shop.order.shipped.v1: {}
  shop.order.lost.v1:
    payload:
      status: {type: string, value: lost}
chains:
  order:
    weight: 1
    start: placed
    variables:
      item: {list: item}
    states:
      placed:
        emits: shop.order.placed.v1
        next: [{to: packed, delay: {uniform: [1, 5]}}]
      packed:
        emits: shop.order.packed.v1
        next:
          - {to: shipped, weight: 90, delay: {fixed: 3}}
          - {to: lost, weight: 10, delay: {fixed: 3}}
      shipped:
        emits: shop.order.shipped.v1
        outcome: completed
      lost:
        emits: shop.order.lost.v1
        outcome: failed
"""

LoadText = Callable[..., Catalog]


@pytest.fixture
def shop() -> str:
    """The text of a catalog without mistakes."""
    return SHOP


@pytest.fixture
def load_text(tmp_path: Path) -> LoadText:
    """Load texts as files `0.yaml`, `1.yaml`, …, each a path of its own."""

    def load(*texts: str, extend: bool = False) -> Catalog:
        paths = [tmp_path / f"{index}.yaml" for index in range(len(texts))]
        for path, text in zip(paths, texts, strict=True):
            path.write_text(text, encoding="utf-8")
        return Catalog.load(*paths, extend=extend)

    return load
