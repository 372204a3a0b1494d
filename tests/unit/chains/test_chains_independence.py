"""Draws that have nothing to do with each other are independent, whatever the catalog calls things."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventbus.catalog import Catalog
from eventbus.catalog.model import Fault
from eventbus.chains import ChainGenerator, randomness
from eventbus.chains.randomness import purpose
from eventbus.event import Event
from tests.unit.chains import draws

CHAINS = 4000
UNLIKELY = 24.0
"""Chi-square of a table of two by two, which independent facts exceed once in a million."""

CAUSED, CAUSED_AFTER = ("whether the follow-up is caused",), ("the delay of the follow-up",)
BINARY = "{type: integer, choices: [0, 1]}"
NAMES = f"""
alone: true
domain: my.shop
source: shop
lists: {{things: [0, 1]}}
events:
  my.shop.order.placed.v1:
    payload:
      variable: {{type: integer, var: thing}}
      picked: {{type: integer, pick: things}}
      next: {BINARY}
      thing: {BINARY}
      pick: {BINARY}
      var: {{type: object, fields: {{thing: {BINARY}}}}}
      "pick:things": {BINARY}
      delay: {{type: object, fields: {{completed: {BINARY}, failed: {BINARY}}}}}
      "delay/completed": {BINARY}
      causes: {{type: object, fields: {{follow-up: {BINARY}}}}}
      "causes/follow-up": {BINARY}
      "causes/follow-up/delay": {BINARY}
  my.shop.order.completed.v1: {{payload: {{elapsed: {{type: integer, elapsed: true}}}}}}
  my.shop.order.failed.v1: {{payload: {{elapsed: {{type: integer, elapsed: true}}}}}}
  my.shop.follow-up.done.v1: {{}}
  my.shop.follow-up.started.v1: {{payload: {{elapsed: {{type: integer, elapsed: true}}}}}}
chains:
  order:
    weight: 1
    start: var
    variables: {{thing: {{list: things}}}}
    states:
      var:
        emits: my.shop.order.placed.v1
        next: [{{to: completed, weight: 50, delay: &d {{uniform: [0, 1000]}}}}, {{to: failed, weight: 50, delay: *d}}]
        causes: [{{chain: follow-up, weight: 50, delay: *d}}]
      completed: {{emits: my.shop.order.completed.v1, outcome: completed}}
      failed: {{emits: my.shop.order.failed.v1, outcome: failed}}
  follow-up:
    weight: 0
    start: started
    states:
      started: {{emits: my.shop.follow-up.started.v1, next: [{{to: done, delay: {{fixed: 1}}}}]}}
      done: {{emits: my.shop.follow-up.done.v1, outcome: completed}}
"""


def load(folder: Path, text: str) -> Catalog:
    file = folder / "catalog.yaml"
    file.write_text(text, encoding="utf-8")
    return Catalog.load(file, extend=False)


def by_chain(generator: ChainGenerator, chains: int) -> list[list[Event]]:
    chains_by_id = defaultdict(list)
    for event in generator.events(chains=chains):
        chains_by_id[event.correlation_id].append(event)
    return [*chains_by_id.values()]


def flat(payload: Mapping[str, Any], *path: str) -> dict[tuple[str, ...], Any]:
    """The members of a payload by path."""
    members: dict[tuple[str, ...], Any] = {}
    for name, value in payload.items():
        members |= flat(value, *path, name) if isinstance(value, dict) else {(*path, name): value}
    return members


def facts(events: list[Event]) -> dict[tuple[str, ...], bool | None]:
    """Everything that an order draws, each fact with a probability of one half; None: not drawn."""
    root, *later = events
    by_type = {event.event_type.removeprefix("my.shop."): event.payload for event in later}
    end, follow_up = by_type.get("order.completed.v1"), by_type.get("follow-up.started.v1")
    drawn: dict[tuple[str, ...], bool | None] = {path: bool(value) for path, value in flat(root.payload).items()}
    drawn["the branch",] = end is not None
    drawn["the delay of the branch",] = (end or by_type["order.failed.v1"])["elapsed"] < 500
    drawn[CAUSED] = follow_up is not None
    drawn[CAUSED_AFTER] = follow_up["elapsed"] < 500 if follow_up else None
    return drawn


def chi_square(pairs: list[tuple[bool, bool]]) -> float:
    """Of a table of two by two; infinite if one of the facts never varies."""
    cells = [[sum(pair == (a, b) for pair in pairs) for b in (False, True)] for a in (False, True)]
    rows, columns = [sum(row) for row in cells], [sum(column) for column in zip(*cells, strict=True)]
    if not all(rows) or not all(columns):
        return math.inf
    expected = [[row * column / len(pairs) for column in columns] for row in rows]
    return float(sum((cells[a][b] - expected[a][b]) ** 2 / expected[a][b] for a in (0, 1) for b in (0, 1)))


def test_no_payload_field_foretells_a_branch_a_delay_or_a_caused_chain(tmp_path: Path) -> None:
    """Fields and states that are called `next`, `var`, `delay/completed` or `pick:things` are fields and states."""
    generator = ChainGenerator(load(tmp_path, NAMES), seed=5)
    drawn = [facts(events) for events in by_chain(generator, CHAINS)]
    assert len(drawn) == CHAINS
    names = list(drawn[0])
    assert len(names) == 17
    dependent = {}
    for a, b in combinations(names, 2):
        if (a, b) == (CAUSED, CAUSED_AFTER):
            continue  # what is not caused has no delay
        pairs = [(x, y) for one in drawn if (x := one[a]) is not None and (y := one[b]) is not None]
        assert len(pairs) > CHAINS / 3
        if (deviation := chi_square(pairs)) > UNLIKELY:
            dependent[a, b] = deviation
    assert dependent == {}


names = st.lists(st.text(alphabet=st.sampled_from("a:/,.1é\0"), max_size=6), max_size=5)


@given(first=names, second=names)
def test_different_names_make_different_purposes(first: list[str], second: list[str]) -> None:
    """No separator, digit or NUL in a name moves the border between two names; the specification says the same."""
    assert (purpose("field", *first) == purpose("field", *second)) == (first == second)
    assert purpose("field", *first) == draws.purpose("field", *first)
    assert purpose("field", *first) != purpose("pick", *first)


def test_the_example_of_the_specification() -> None:
    """The netstrings of the specification, hashed with `b2sum -l 64`."""
    assert "`5:delay,4:shop,4:paid,7:shipped,`" in str(randomness.__doc__)
    assert purpose("delay", "shop", "paid", "shipped").to_bytes(8, "little").hex() == "d8e7deaa5f730104"


def test_the_chains_that_a_session_causes_draw_their_own_variables() -> None:
    """Two queries of one visit are two queries: their variables agree as often as those of strangers."""
    catalog = Catalog.default().only("visitor-session")
    queries = defaultdict(list)
    for event in ChainGenerator(catalog, seed=1).events(chains=300):
        if event.event_type == catalog.chain("database-query").root:
            queries[event.correlation_id].append({name: str(value) for name, value in flat(event.payload).items()})
    several = [payloads for payloads in queries.values() if len(payloads) > 1]
    assert len(several) > 20
    pairs = [pair for payloads in several for pair in combinations(payloads, 2)]
    strangers = [(a, b) for one, other in combinations(several, 2) for a, b in zip(one, other, strict=False)]
    assert equal_share(pairs) == pytest.approx(equal_share(strangers), abs=0.1)
    assert equal_share(pairs) < 0.9


def equal_share(pairs: list[tuple[dict[Any, str], dict[Any, str]]]) -> float:
    """How often two payloads have the same values."""
    return sum(a == b for a, b in pairs) / len(pairs)


CAUSED_TWICE = """
alone: true
domain: my.shop
source: shop
events:
  my.shop.order.placed.v1: {}
  my.shop.order.paid.v1: {}
  my.shop.mail.queued.v1: {payload: {number: {type: integer, var: number}}}
  my.shop.mail.sent.v1: {payload: {number: {type: integer, var: number}}}
chains:
  order:
    weight: 1
    start: placed
    states:
      placed:
        emits: my.shop.order.placed.v1
        causes: [{chain: mail, weight: 100, delay: {fixed: 10}}]
        next: [{to: paid, delay: {fixed: 100}}]
      paid:
        emits: my.shop.order.paid.v1
        causes: [{chain: mail, weight: 100, delay: {fixed: 10}}]
        outcome: completed
  mail:
    weight: 0
    start: queued
    variables: {number: {min: 1, max: 1000000000}}
    states:
      queued: {emits: my.shop.mail.queued.v1, next: [{to: sent, delay: {fixed: 5}}]}
      sent: {emits: my.shop.mail.sent.v1, outcome: completed}
"""


def test_chains_that_two_events_cause_differ_and_agree_with_themselves(tmp_path: Path) -> None:
    """Each caused chain has one number for all its events, and another one than its sibling."""
    orders = by_chain(ChainGenerator(load(tmp_path, CAUSED_TWICE), seed=3), 50)
    assert len(orders) == 50
    for events in orders:
        queued = {e.event_id: e.payload["number"] for e in events if e.event_type == "my.shop.mail.queued.v1"}
        sent = {e.causation_id: e.payload["number"] for e in events if e.event_type == "my.shop.mail.sent.v1"}
        assert queued == sent
        assert len(queued) == len(set(queued.values())) == 2


SLOW_AGENTS = """
alone: true
domain: my.shop
source: shop
lists: {agent: [a, b, c, d]}
events:
  my.shop.pay.requested.v1: {payload: {agent: {type: string, var: agent}}}
  my.shop.pay.completed.v1:
    payload: {agent: {type: string, var: agent}, elapsed: {type: integer, elapsed: true}}
chains:
  pay:
    weight: 1
    start: requested
    variables:
      user: {min: 1, max: 1000}
      agent: {list: agent, per: user, factor: {p95: 20}}
    states:
      requested: {emits: my.shop.pay.requested.v1, next: [{to: completed, delay: {fixed: 1000}, scaled_by: agent}]}
      completed: {emits: my.shop.pay.completed.v1, outcome: completed}
"""


def test_the_item_that_is_shown_is_the_item_that_is_slow(tmp_path: Path) -> None:
    """An agent that belongs to a user delays that user's chains by its own factor, and by no other."""
    delays = defaultdict(set)
    for events in by_chain(ChainGenerator(load(tmp_path, SLOW_AGENTS), seed=3), 1000):
        payload = events[-1].payload
        delays[payload["agent"]].add(payload["elapsed"])
    assert sorted(delays) == ["a", "b", "c", "d"]
    assert all(len(lengths) == 1 for lengths in delays.values())
    assert len(set.union(*delays.values())) == 4


@pytest.mark.parametrize("scope", [{"chains": ("agent-execution",)}, {}], ids=["another scope", "the same scope"])
def test_two_faults_of_one_kind_select_independently(scope: dict[str, Any]) -> None:
    """Where both apply, as many events are lost as two independent losses of 20 percent lose: 36 percent."""
    generator = ChainGenerator(Catalog.default().only("agent-execution"), seed=9)
    faults = [Fault(kind="drop", rate=0.2), Fault(kind="drop", rate=0.2, **scope)]
    clean = sum(len(lines) for lines in generator.lines(chains=2000))
    kept = sum(len(block) for block in generator.injector(faults).blocks(generator.blocks(chains=2000)))
    assert clean > 5000
    assert (clean - kept) / clean == pytest.approx(0.36, abs=0.02)
