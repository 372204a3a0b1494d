"""A scenario's `event_probabilities`: how often each kind of event comes."""

from __future__ import annotations

import math
from collections.abc import Mapping

from eventbus.catalog.catalog import Catalog
from eventbus.catalog.checks.everything import event_name
from eventbus.catalog.errors import CatalogError
from eventbus.catalog.probabilities import TOLERANCE, with_probabilities
from eventbus.catalog.reading import leniently
from eventbus.catalog.reading.source import Node
from eventbus.catalog.visitors import full_name
from eventbus.catalog.words import listed


def read_probabilities(node: Node) -> Mapping[str, float]:
    """The share of each event type; nothing after a mistake. Names may be short ones and their aliases."""
    shares: dict[str, float] = {}
    before = len(node.mistakes)
    given = {name: leniently.number(member) for name, member in node.mapping().items()}
    for name, member in node.mapping().items():
        share = given[name]
        if not event_name.fullmatch(full_name(name)):
            member.complain(f"expected the name of an event such as video_play, got {name!r}")
        elif full_name(name) in shares:
            member.complain(f"{name!r} stands for {full_name(name)}, which has a share already")
        elif share is not None and not 0 <= share <= 1:
            member.complain(f"expected a share of 0 to 1, got {share:g}")
        shares[full_name(name)] = share or 0.0
    total = math.fsum(share or 0.0 for share in given.values())
    sound = all(share is not None and 0 <= share <= 1 for share in given.values())
    if sound and abs(total - 1) > TOLERANCE:
        node.complain(f"expected shares that sum to 1.0, got {total:.12g} for {listed(node.mapping())}")
    return shares if len(node.mistakes) == before else {}


def visited_by_chance(node: Node, shares: Mapping[str, float], catalog: Catalog) -> Catalog:
    """The catalog with visitors who act in these shares; the same one if they cannot, which is noted."""
    try:
        return with_probabilities(catalog, shares)
    except CatalogError as error:
        node.complain(str(error))
        return catalog
