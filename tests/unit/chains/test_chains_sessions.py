"""Sessions of visitors: what holds for any behaviour, and the slow and obvious walker beside."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from dataclasses import replace
from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eventbus.catalog import Catalog
from eventbus.catalog.event_probabilities import with_probabilities
from eventbus.catalog.model import Behaviour, ClosedWorkload, Journey, Stop
from eventbus.chains import ChainGenerator
from eventbus.chains.statistics import chi_square
from eventbus.event import Event, microseconds
from tests.unit.chains.behaviours import BEHAVIOURS
from tests.unit.chains.reference_sessions import session

NAME = "visitor-session"
VISITOR = "omninode.visitor."
SHIPPED = Catalog.default().only(NAME)
HURRIED = Behaviour(human_like_delays=False)


CATALOGS = st.builds(
    lambda journeys, behaviour: SHIPPED.with_visitors(journeys=journeys, behaviour=behaviour),
    st.sampled_from(["site", "shop"]),
    BEHAVIOURS,
)


TABLES = st.tuples(*[st.integers(0, 40)] * 4, st.integers(0, 10), st.integers(0, 10), st.integers(0, 5)).map(
    lambda weights: dict(
        zip(
            ("button_click", "link_click", "page_close", "page_visit", "session_end", "form_submit", "video_play"),
            weights,
            strict=True,
        )
    )
)
"""Weights of the events of a session that begins 5 times."""


def by_shares(catalog: Catalog, table: dict[str, int]) -> Catalog:
    weights = {**table, "session_start": 5, "page_visit": 5 + table["page_visit"]}
    return with_probabilities(catalog, {name: one / sum(weights.values()) for name, one in weights.items()}).only(NAME)


EVERY_MODE = st.one_of(CATALOGS, st.builds(by_shares, CATALOGS, TABLES))


def with_journeys(*journeys: Journey) -> Catalog:
    chain = SHIPPED.chain(NAME)
    assert chain.visitors is not None
    visitors = replace(chain.visitors, sets={"own": journeys}, journeys="own")
    return replace(SHIPPED, chains={NAME: replace(chain, visitors=visitors, max_steps=visitors.max_events)})


def quiet(catalog: Catalog) -> Catalog:
    """The same visitors, whose clicks cause nothing."""
    chain = catalog.chain(NAME)
    states = {name: replace(state, causes=()) for name, state in chain.states.items()}
    return replace(catalog, chains={NAME: replace(chain, states=states)})


def without_slots(catalog: Catalog) -> Catalog:
    """The same visitors, whose user does not depend on how many sessions may be open (see `test_chains_persons`)."""
    chain = catalog.chain(NAME)
    variables = {name: replace(variable, exclusive=False) for name, variable in chain.variables.items()}
    return replace(catalog, chains={NAME: replace(chain, variables=variables)})


def sessions(catalog: Catalog, chains: int, seed: int = 7) -> list[list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for lines in ChainGenerator(catalog, seed=seed).lines(chains=chains):
        for line in lines:
            event = json.loads(line)
            found[event["correlation_id"]].append(event)
    assert len(found) == chains
    return list(found.values())


def short(event: dict[str, Any]) -> str:
    return "_".join(event["event_type"].removeprefix(VISITOR).split(".")[:-1])


def when(event: dict[str, Any]) -> int:
    return microseconds(Event.from_bytes(json.dumps(event).encode()).timestamp)


def pages(visit: list[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    """The events of each page, from the visit to the close."""
    found: list[list[dict[str, Any]]] = []
    for event in visit[1:-1]:
        if short(event) == "page_visited":
            found.append([])
        found[-1].append(event)
    return found


@settings(max_examples=40, deadline=None)
@given(EVERY_MODE, st.integers(0, 1 << 32))
def test_the_slow_walker_does_the_same(catalog: Catalog, seed: int) -> None:
    """Every event of every session is what the reference makes of the same numbers."""
    catalog = without_slots(quiet(catalog))
    for index, visit in enumerate(sessions(catalog, 4, seed)):
        assert visit == list(session(catalog, catalog.chain(NAME), seed=seed, index=index, began=when(visit[0])))


@settings(max_examples=40, deadline=None)
@given(CATALOGS)
def test_a_session_is_well_formed(catalog: Catalog) -> None:
    """Created, then pages that are visited, clicked on and closed, one after the other, then ended; causes are true."""
    for visit in sessions(quiet(catalog), 12):
        assert (short(visit[0]), short(visit[-1])) == ("session_created", "session_ended")
        by_id = {event["event_id"]: event for event in visit}
        before = visit[:1]
        for page in pages(visit):
            opened, *clicks, closed = page
            assert (short(opened), short(closed)) == ("page_visited", "page_closed")
            assert {short(click) for click in clicks} <= {"button_clicked", "link_clicked"}
            assert {event["payload"]["path"] for event in page} == {opened["payload"]["path"]}
            assert {event["causation_id"] for event in page[1:]} == {opened["event_id"]}
            assert by_id[opened["causation_id"]] in before
            before = page
        assert visit[-1]["causation_id"] == visit[-2]["event_id"]
        times = [when(event) for event in visit]
        assert all(one < other for one, other in pairwise(times))


@settings(max_examples=40, deadline=None)
@given(BEHAVIOURS.map(lambda one: replace(one, human_like_delays=True)))
def test_ranges_are_kept(behaviour: Behaviour) -> None:
    """Nobody stays longer, clicks more or sees more than is meant; nor less, unless the session is over."""
    wandering = with_journeys(Journey(name="random", weight=1)).with_visitors(behaviour=behaviour)
    for visit in sessions(quiet(wandering), 12):
        duration = when(visit[-1]) - when(visit[0])
        assert duration <= behaviour.session_duration.high * 1_000_000
        seen = pages(visit)
        assert len(seen) <= behaviour.pages_per_session.high
        for page in seen:
            stayed = when(page[-1]) - when(page[0])
            assert stayed <= max(behaviour.time_per_page.high * 1_000_000, 1000)
            assert len(page) - 2 <= behaviour.clicks_per_page.high
        for page in seen[1:]:
            assert when(page[-1]) - when(page[0]) >= behaviour.time_per_page.low * 1_000_000


def test_the_shipped_ranges_are_kept() -> None:
    """60 to 600 s, 3 to 15 pages, 10 to 120 s and 0 to 8 clicks a page: of all who wander."""
    lengths: Counter[str] = Counter()
    for visit in sessions(quiet(with_journeys(Journey(name="random", weight=1))), 500):
        seen = pages(visit)
        assert 60_000_000 <= when(visit[-1]) - when(visit[0]) <= 600_000_000
        assert 3 <= len(seen) <= 15
        for page in seen:
            assert 10_000_000 <= when(page[-1]) - when(page[0]) <= 120_000_000
            assert len(page) - 2 <= 8
            lengths[f"{len(page) - 2} clicks"] += 1
    assert len(lengths) == 9


@pytest.mark.parametrize("journeys", ["site", "shop"])
def test_every_gap_is_an_action_delay(journeys: str) -> None:
    """From any event of a session to the next one it takes 2 to 15 s: to load, to read, to click, to leave."""
    gaps: Counter[tuple[str, str]] = Counter()
    for visit in sessions(quiet(SHIPPED.with_visitors(journeys=journeys)), 1500):
        for one, other in pairwise(visit):
            assert 2_000_000 <= when(other) - when(one) <= 15_000_000
            gaps[short(one), short(other)] += 1
    assert len(gaps) >= 9
    assert {
        ("session_created", "page_visited"),
        ("link_clicked", "page_closed"),
        ("page_closed", "page_visited"),
    } < set(gaps)


def test_deep_explorers_see_the_whole_site() -> None:
    """Thirteen pages, to the last, within the 600 s that a session has; and so does any journey see all its stops."""
    chain = SHIPPED.chain(NAME)
    assert chain.visitors is not None
    for journey in chain.visitors.active_journeys:
        way = [chain.visitors.pages[stop.page].path for stop in journey.stops]
        visits = sessions(quiet(with_journeys(journey)), 400)
        assert len(visits) == 400
        for visit in visits:
            assert [page[0]["payload"]["path"] for page in pages(visit)] == way
            assert when(visit[-1]) - when(visit[0]) <= 600_000_000
    assert len(way) == 13


def test_a_link_leads_to_the_next_page() -> None:
    """A page has the link that was clicked, or else the closing of a page, as its cause, and names the page before."""
    causes: Counter[str] = Counter()
    for visit in sessions(quiet(SHIPPED), 300):
        by_id = {event["event_id"]: event for event in visit}
        for before, page in pairwise(pages(visit)):
            opened, cause = page[0], by_id[page[0]["causation_id"]]
            causes[short(cause)] += 1
            assert cause in before
            assert opened["payload"]["referrer"] == "https://demo.example" + before[0]["payload"]["path"]
            if short(cause) == "link_clicked":
                assert cause["payload"]["href"] == opened["payload"]["path"]
                assert before[-2] == cause
    assert set(causes) == {"link_clicked", "page_closed"}


def test_journeys_keep_their_way() -> None:
    """Whoever shops sees home, products, the product and the cart, adds to the cart and checks out."""
    chain = SHIPPED.chain(NAME)
    assert chain.visitors is not None
    shopping = next(journey for journey in chain.visitors.sets["shop"] if journey.name == "shopping")
    for visit in sessions(quiet(with_journeys(shopping).with_visitors(behaviour=HURRIED)), 200):
        paths = [page[0]["payload"]["path"] for page in pages(visit)]
        assert paths == ["/", "/products", "/products/event-bus", "/cart"]
        clicked = [event["payload"]["element"] for event in visit if "element" in event["payload"]]
        assert "add_to_cart" in clicked
        assert clicked[-1] == "checkout"


def test_shares_of_journeys() -> None:
    """Journeys begin in proportion to their weights (chi-square)."""
    weights = {"home": 35, "about": 30, "contact": 25, "pricing": 10}
    journeys = [Journey(name=page, weight=weight, stops=(Stop(page),)) for page, weight in weights.items()]
    count = 4000
    found = Counter(visit[0]["payload"]["path"] for visit in sessions(quiet(with_journeys(*journeys)), count))
    pages_of = dict(zip(("/", "/about", "/contact", "/pricing"), weights.values(), strict=True))
    assert chi_square([found[path] for path in pages_of], [w * count / 100 for w in pages_of.values()]) > 1e-6


@pytest.mark.parametrize(("block", "workers"), [(1, 1), (100, 1), (None, 2), (64, 4)])
def test_the_same_bytes_however_the_work_is_cut(block: int | None, workers: int) -> None:
    """Blocks and workers change no byte."""
    shop = SHIPPED.with_visitors(journeys="shop")
    cut = ChainGenerator(shop, seed=3, block=block).blocks(chains=300, workers=workers)
    assert b"".join(bytes(block.buffer) for block in cut) == whole()


@cache
def whole() -> bytes:
    shop = SHIPPED.with_visitors(journeys="shop")
    return b"".join(bytes(block.buffer) for block in ChainGenerator(shop, seed=3).blocks(chains=300))


def test_nobody_waits() -> None:
    """Without human delays events come in the order of a session, a millisecond apart."""
    for visit in sessions(quiet(SHIPPED.with_visitors(behaviour=HURRIED)), 100):
        assert {when(other) - when(one) for one, other in pairwise(visit)} == {1000}


def test_a_user_keeps_device_and_country() -> None:
    """A user has one device and one country, in all sessions of all runs."""
    known: dict[str, set[tuple[str, ...]]] = defaultdict(set)
    visits: Counter[str] = Counter()
    for seed in (1, 2):
        for visit in sessions(SHIPPED, 1500, seed):
            given = visit[0]["payload"]
            known[given["user_id"]].add((given["user_agent"], given["screen"], given["country"], given["language"]))
            visits[given["user_id"]] += 1
    assert {len(found) for found in known.values()} == {1}
    assert len({next(iter(found)) for found in known.values()}) > 50
    assert max(visits.values()) > 1


def test_everyone_is_one_user() -> None:
    """The number of users is chosen; one is enough, whose sessions follow each other."""
    alone = ChainGenerator(quiet(SHIPPED), seed=1, arrivals=ClosedWorkload(users=1))
    events = list(alone.events(chains=20))
    assert len({event.correlation_id for event in events}) == 20
    assert {event.payload["user_id"] for event in events} == {"user-1"}


def test_clicks_cause_chains() -> None:
    """Those clicks that say so cause a whole chain under the session's correlation id, and no others do."""
    caused = causing = 0
    for visit in sessions(SHIPPED, 400):
        by_id = {event["event_id"]: event for event in visit}
        assert len(by_id) == len(visit)
        assert all(event["causation_id"] in by_id for event in visit if event["causation_id"])
        behind = [event for event in visit if not event["event_type"].startswith(VISITOR)]
        first = [event for event in behind if by_id[event["causation_id"]]["event_type"].startswith(VISITOR)]
        caused += len(first)
        causing += sum(
            event["payload"].get("element") in {"search", "run_demo", "checkout", "signup"} for event in visit
        )
        for event in first:
            assert event["event_type"].endswith(".requested.v1")
            assert by_id[event["causation_id"]]["payload"]["element"] in {"search", "run_demo"}
        assert Counter(event["event_type"] for event in visit)[f"{VISITOR}session.ended.v1"] == 1
    assert caused == causing > 100


def test_a_caused_chain_is_about_nothing_of_the_page() -> None:
    """What a chain behind the scenes counts begins at 0, whatever page and click it came from."""
    count = 0
    for block in ChainGenerator(SHIPPED, seed=5).blocks(chains=300):
        lines = [line for lines in block.lines() for line in lines]
        behind = [row for row, line in enumerate(lines) if VISITOR.encode() not in line]
        assert not block.table.attributes[behind].any()
        count += len(behind)
    assert count > 100


def test_one_event_is_the_last() -> None:
    """Of a session and all it caused, exactly the latest event is marked as the last."""
    for block in ChainGenerator(SHIPPED, seed=5, block=500).blocks(chains=500):
        table = block.table
        assert np.all(np.bincount(table.chain[table.terminal > 0]) <= 1)
    tables = [block.table[:] for block in ChainGenerator(SHIPPED, seed=5).blocks(chains=500)]
    ends = {
        int(chain): int(time)
        for table in tables
        for chain, time in zip(table.chain[table.terminal > 0], table.time[table.terminal > 0], strict=True)
    }
    latest: dict[int, int] = {}
    for one in tables:
        for chain, time in zip(one.chain.tolist(), one.time.tolist(), strict=True):
            latest[chain] = max(time, latest.get(chain, 0))
    assert ends == latest
