"""Visitors whose events have given shares of the stream, in sessions as whole and as bounded as any others."""

from __future__ import annotations

import json
import math
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from eventbus.catalog import Catalog, CatalogError, Scenario
from eventbus.catalog.event_probabilities import probability_notes, with_probabilities
from eventbus.catalog.model import Behaviour, Range, full_name, short_name
from eventbus.chains import ChainGenerator
from eventbus.chains.statistics import chi_square
from eventbus.chains.table import CLICKS, NUMBER, EventTable
from eventbus.event import Event
from tests.unit.chains.behaviours import BEHAVIOURS

SHARES = {
    "session_start": 0.05,
    "session_end": 0.05,
    "page_visit": 0.25,
    "page_close": 0.20,
    "button_click": 0.40,
    "link_click": 0.05,
}
FAR = 6.0
"""Standard deviations that chance hardly ever goes: once in 500 million times."""


def shares_of(weights: list[int]) -> dict[str, float]:
    weights[0], weights[2] = weights[0] + 1, weights[2] + 5
    return {name: weight / sum(weights) for name, weight in zip((*SHARES, "form_submit"), weights, strict=True)}


TABLES = st.lists(st.integers(0, 40), min_size=7, max_size=7).map(shares_of)


def sessions(
    shares: Mapping[str, float], count: int, seed: int = 3, base: Catalog | None = None
) -> list[list[dict[str, Any]]]:
    catalog = with_probabilities(base or Catalog.default(), shares).only("visitor-session")
    found: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for lines in ChainGenerator(catalog, seed=seed).lines(chains=count):
        for line in lines:
            event = json.loads(line)
            found[event["correlation_id"]].append(event)
    assert len(found) == count
    return list(found.values())


def deviation(shares: Mapping[str, float], name: str, visits: list[list[dict[str, Any]]]) -> float:
    """How far a share is off, in standard deviations of its mean over sessions (whose events hang together).

    The variance is at least that of independent events: too few events to estimate it from would leave almost none.
    """
    share = shares[name]
    off = [sum(event["event_type"] == full_name(name) for event in visit) - share * len(visit) for visit in visits]
    mean = math.fsum(off) / len(off)
    variance = math.fsum((difference - mean) ** 2 for difference in off) / (len(off) - 1)
    independent = share * (1 - share) * sum(map(len, visits)) / len(visits)
    return abs(mean) / math.sqrt(max(variance, independent) / len(off)) if mean else 0.0


@pytest.mark.parametrize(
    "shares",
    [
        SHARES,
        {**SHARES, "session_end": 0.02, "form_submit": 0.03},
        {**SHARES, "session_end": 0.0, "video_play": 0.05},
        {**SHARES, "page_close": 0.02, "button_click": 0.58},
        {"session_start": 0.5, "session_end": 0.5},
        {"session_start": 0.5, "session_end": 0.3, "page_visit": 0.2},
        {"session_start": 0.1, "session_end": 0.1, "page_visit": 0.2, "search_query": 0.6},
        {"session_start": 0.01, "session_end": 0.01, "page_visit": 0.5, "button_click": 0.48},
    ],
)
def test_shares_of_the_stream(shares: dict[str, float]) -> None:
    """Every event type has its share of the stream, also where sessions are abandoned."""
    visits = sessions(shares, 200 if shares["session_start"] < 0.05 else 1500)
    assert {name: deviation(shares, name, visits) < FAR for name in shares} == dict.fromkeys(shares, True)


@settings(max_examples=15, deadline=None)
@given(st.lists(st.integers(1, 100), min_size=7, max_size=7), st.integers(0, 1000), st.sampled_from(["site", "shop"]))
def test_any_shares_hold_that_are_possible(weights: list[int], seed: int, journeys: str) -> None:
    """So it is for any shares with no more ends than beginnings, no more closed pages than pages, and 60 events a page.

    The page holds so many clicks, and so many events of other types.
    """
    names = (*SHARES, "form_submit")
    table = dict(zip(names, weights, strict=True))
    for less, more in (("session_end", "session_start"), ("page_close", "page_visit")):
        table[less], table[more] = sorted((table[less], table[more]))
    assume(table["button_click"] + table["link_click"] <= 60 * table["page_visit"] >= table["form_submit"])
    shares = {name: weight / sum(table.values()) for name, weight in table.items()}
    visits = sessions(shares, 300, seed, Catalog.default().with_visitors(journeys=journeys))
    assert [name for name in shares if deviation(shares, name, visits) > FAR] == []


def test_the_default_table_makes_the_sessions_that_it_describes() -> None:
    """Five pages, four of them closed; 1.6 button and 0.2 link clicks a page; from 3 to 15 pages, 0 to 8 clicks."""
    visits = sessions(SHARES, 2500)
    pages = [sum(event["event_type"] == full_name("page_visit") for event in visit) for visit in visits]
    counts = Counter(event["event_type"] for visit in visits for event in visit)
    assert np.mean(pages) == pytest.approx(5, rel=0.03)
    assert counts[full_name("page_close")] / sum(pages) == pytest.approx(0.8, abs=0.01)
    assert counts[full_name("button_click")] / sum(pages) == pytest.approx(1.6, rel=0.03)
    assert counts[full_name("link_click")] / sum(pages) == pytest.approx(0.2, rel=0.05)
    assert {event["event_type"] for visit in visits for event in visit[-1:]} == {full_name("session_end")}
    assert {visit[-2]["event_type"] for visit in visits} == {full_name("page_close")}
    assert (min(pages), max(pages)) == (3, 15)
    # of all distributions on 3 to 15 with the mean 5, the geometric one says least
    low, ratio = 0.0, 1.0
    for _ in range(60):
        middle = (low + ratio) / 2
        weights = [middle**k for k in range(13)]
        low, ratio = (middle, ratio) if np.average(range(13), weights=weights) < 2 else (low, middle)
    shares = [ratio**k for k in range(13)]
    expected = [len(pages) * share / sum(shares) for share in shares]
    counted = Counter(pages)
    common = [number for number, mean in enumerate(expected) if mean > 10]
    assert len(common) > 6
    assert chi_square([counted[3 + number] for number in common], [expected[number] for number in common]) > 1e-6


def test_shares_of_visitors_who_may_take_no_time() -> None:
    """Where neither a page nor an action has to last, a session has room for all the pages that the shares ask for."""
    at_once = Behaviour(action_delay=Range(0, 5), time_per_page=Range(0, 20))
    visits = sessions(SHARES, 600, base=Catalog.default().with_visitors(behaviour=at_once))
    assert {name: deviation(SHARES, name, visits) < FAR for name in SHARES} == dict.fromkeys(SHARES, True)


def test_shares_over_forty_seeds() -> None:
    """Each of forty runs has the shares of the default table, by a chi-square test over whole sessions.

    Events of a session hang together, so the test is of the sums over sessions: with their own covariance, they are
    chi-square distributed (Hotelling's T² of many observations). Of sound streams, one in 25 would have one of forty
    that is beyond 1 in 1,000; the seeds are fixed, and so is the answer.
    """
    names = [full_name(name) for name in SHARES]
    catalog = with_probabilities(Catalog.default(), SHARES).only("visitor-session")
    statistics = []
    for seed in range(40):
        generator = ChainGenerator(catalog, seed=seed)
        types = [emitter.event_type for emitter in generator._plan.emitters]
        counts = np.zeros((400, len(names)))
        for block in generator.blocks(chains=400):
            column = np.array([names.index(types[emitter]) for emitter in block.table.emitter.tolist()])
            np.add.at(counts, (block.table.chain, column), 1)
        off = counts - counts.sum(axis=1, keepdims=True) * np.array(list(SHARES.values()))
        off = off[:, 2:]  # beginnings and ends are one a session, so that the other types settle them
        mean, covariance = off.mean(axis=0), np.cov(off.T) / len(off)
        statistics.append(float(mean @ np.linalg.solve(covariance, mean)))
    assert max(statistics) < CHI_SQUARE_4
    assert 2.0 < np.mean(statistics) < 6.5  # around 4, the degrees of freedom: the test is not blunt


CHI_SQUARE_4 = 18.467
"""Exceeded once in 1,000 times by a chi-square variable with 4 degrees of freedom."""


@pytest.mark.parametrize("journeys", ["site", "shop"])
def test_every_bound_is_kept_in_a_hundred_thousand_sessions(journeys: str) -> None:
    """60 to 600 s, 3 to 15 pages, 10 to 120 s and 0 to 8 clicks a page, and every gap from 2 to 15 s."""
    base = Catalog.default().with_visitors(journeys=journeys)
    generator = ChainGenerator(with_probabilities(base, SHARES).only("visitor-session"))
    [simulator], states = generator._plan.simulators, [emitter.event_type for emitter in generator._plan.emitters]
    names = np.array(list(map(short_name, states)))
    seen = 0
    for begin in range(0, 50_000, 10_000):
        roots = EventTable.roots(np.arange(begin, begin + 10_000), np.full(10_000, 1_700_000_000_000_000))
        [table] = simulator.events(roots, 5)
        order = np.lexsort((table.step, table.chain))
        chain, time, state = table.chain[order], table.time[order], names[table.emitter[order]]
        attributes, first = table.attributes[order], np.flatnonzero(np.diff(chain, prepend=-1))
        last = np.append(first[1:], chain.size) - 1
        gaps = np.diff(time)[np.diff(chain) == 0]
        assert 2_000_000 <= gaps.min() <= gaps.max() <= 15_000_000
        spans = time[last] - time[first]
        assert 60_000_000 <= spans.min() <= spans.max() <= 600_000_000
        pages = NUMBER.get(attributes[last])
        assert 3 <= pages.min() <= pages.max() <= 15
        visits, is_click = np.flatnonzero(state == "page_visited"), np.char.endswith(state, "clicked")
        clicks = np.add.reduceat(is_click, visits)
        assert 0 <= clicks.min() <= clicks.max() <= 8
        leaves = np.flatnonzero(np.isin(state, ["page_visited", "session_ended", "page_closed"]))
        ends = leaves[np.searchsorted(leaves, visits, side="right")]
        on_page = time[ends] - time[visits]
        assert 10_000_000 <= on_page.min() <= on_page.max() <= 120_000_000
        closes = state == "page_closed"
        assert (CLICKS.get(attributes[closes]) <= 8).all()
        seen += first.size
    assert seen == 50_000


@settings(max_examples=25, deadline=None)
@given(BEHAVIOURS, TABLES, st.integers(0, 1000), st.sampled_from(["site", "shop"]))
def test_the_life_cycle_is_a_law(behaviour: Behaviour, shares: dict[str, float], seed: int, journeys: str) -> None:
    """Created, then pages; clicks and all else on the open page, at most one closing of it; an end, at most, then none.

    Whatever the shares, the ranges and the journeys: a page may be replaced by the next one without being closed.
    """
    base = Catalog.default().with_visitors(journeys=journeys, behaviour=behaviour)
    for visit in sessions(shares, 15, seed, base):
        names = [short_name(event["event_type"]) for event in visit]
        assert names[0] == "session_created"
        assert names.count("session_created") == 1
        assert names.count("session_ended") == (names[-1] == "session_ended")
        page: dict[str, Any] | None = None
        for event, name in zip(visit, names, strict=True):
            if name == "page_visited":
                page = event
            elif name not in ("session_created", "session_ended"):
                assert page is not None
                assert event["payload"]["path"] == page["payload"]["path"]
                assert event["causation_id"] == page["event_id"]
                page = None if name == "page_closed" else page
        times = [event["timestamp"] for event in visit]
        assert all(before < after for before, after in pairwise(times))


def test_all_sections_of_a_file_are_obeyed_at_once(tmp_path: Path) -> None:
    """Shares, ranges and journeys together: the table's shares, within the file's ranges, along the file's journeys."""
    file = tmp_path / "all.yaml"
    file.write_text(
        """
simulation: {num_users: 40, duration_seconds: 3600}
event_probabilities:
  {session_start: 0.05, session_end: 0.05, page_visit: 0.25, page_close: 0.20, button_click: 0.40, link_click: 0.05}
user_behavior:
  {session_duration_min: 90, session_duration_max: 300, pages_per_session_min: 4, pages_per_session_max: 8,
   time_per_page_min: 12, time_per_page_max: 40, clicks_per_page_min: 1, clicks_per_page_max: 3}
journeys: {buyer: {weight: 1, stops: [products, {product: [add_to_cart]}, {cart: [checkout]}]}}
""",
        "utf-8",
    )
    scenario = Scenario.load(file)
    assert scenario.notes == (
        "event_probabilities say how many pages and clicks a session has, journeys which pages come first: "
        "a visitor may leave a journey early, or go on at random after it",
    )
    by_id: dict[str, list[Event]] = defaultdict(list)
    for event in ChainGenerator(scenario.catalog, seed=3).events(chains=800):
        by_id[event.correlation_id].append(event)
    clicked = Counter[str]()
    for visit in by_id.values():
        assert [e.payload["path"] for e in visit if "title" in e.payload][:3] == [
            *("/products", "/products/event-bus", "/cart"),
        ]
        assert 90 <= (visit[-1].timestamp - visit[0].timestamp).total_seconds() <= 300
        assert 4 <= visit[-1].payload["pages"] <= 8
        closed = [e.payload for e in visit if e.event_type == full_name("page_close")]
        assert all(12_000 <= page["time_on_page_ms"] <= 40_000 and 1 <= page["clicks"] <= 3 for page in closed)
        clicked.update(e.payload["element"] for e in visit if "element" in e.payload)
    assert clicked["add_to_cart"] > 600
    visits = [[{"event_type": event.event_type} for event in visit] for visit in by_id.values()]
    assert [name for name in SHARES if deviation(SHARES, name, visits) > FAR] == []


def test_more_ends_than_beginnings() -> None:
    """A session ends once at most, and a page is closed once at most: as many do as can, and that is said."""
    shares = {**SHARES, "session_end": 0.10, "page_visit": 0.20}
    counts = Counter(event["event_type"] for visit in sessions(shares, 500) for event in visit)
    assert counts[full_name("session_end")] == counts[full_name("session_start")] == 500
    [sentence] = probability_notes(Catalog.default(), shares)
    assert sentence.startswith("session_end (0.1) is above session_start (0.05)")
    shares = {**SHARES, "page_close": 0.30, "page_visit": 0.15}
    counts = Counter(event["event_type"] for visit in sessions(shares, 500) for event in visit)
    assert counts[full_name("page_close")] == counts[full_name("page_visit")]
    [sentence] = probability_notes(Catalog.default(), shares)
    assert sentence.startswith("page_close (0.3) is above page_visit (0.15)")
    assert not probability_notes(Catalog.default(), SHARES)


@pytest.mark.parametrize(
    ("shares", "bounds", "said"),
    [
        (
            {**SHARES, "page_visit": 0.10, "page_close": 0.10, "button_click": 0.65},
            ["pages_per_session_min"],
            "ask for 2 pages a session, pages_per_session_min is 3: the bound wins",
        ),
        (
            {**SHARES, "page_visit": 0.10, "page_close": 0.10, "button_click": 0.65},
            [],
            "ask for 2 pages a session, usual are 3 to 15: the shares win, with 2 to 15",
        ),
        (
            {**SHARES, "page_visit": 0.05, "page_close": 0.05, "button_click": 0.75},
            ["clicks_per_page_max"],
            "ask for 16 clicks a page, clicks_per_page_max is 8: the bound wins",
        ),
    ],
)
def test_shares_and_ranges_that_contradict_each_other(shares: dict[str, float], bounds: list[str], said: str) -> None:
    """Both numbers are named, and which of them wins; it does."""
    notes = probability_notes(Catalog.default(), shares, bounds)
    assert any(said in note for note in notes)
    catalog = with_probabilities(Catalog.default(), shares, bounds).only("visitor-session")
    visits: dict[str, Counter[str]] = defaultdict(Counter)
    for event in ChainGenerator(catalog, seed=1).events(chains=1000):
        visits[event.correlation_id][short_name(event.event_type)] += 1
    pages = [visit["page_visited"] for visit in visits.values()]
    clicks = sum(visit["button_clicked"] + visit["link_clicked"] for visit in visits.values()) / sum(pages)
    wanted = shares["page_visit"] / shares["session_start"]
    if "pages_per_session_min" in bounds:
        assert set(pages) == {3}
    elif "clicks_per_page_max" in bounds:
        assert clicks == 8
    else:
        assert np.mean(pages) == pytest.approx(wanted, rel=0.05)


def test_pages_without_links_are_named() -> None:
    """Where a page lacks what the shares want clicked, something else is, and that is said; nothing else is clicked."""
    base = Catalog.default()
    chain = base.chain("visitor-session")
    assert chain.visitors is not None
    pages = dict(chain.visitors.pages)
    buttons = tuple(click for click in pages["docs"].clicks if click.kind == "button")
    pages |= {"docs": replace(pages["docs"], clicks=buttons), "blog": replace(pages["blog"], clicks=())}
    changed = replace(chain, visitors=replace(chain.visitors, pages=pages))
    base = replace(base, chains={**base.chains, chain.name: changed})
    assert probability_notes(base, SHARES) == [
        "no button on blog: what else is there is clicked instead, if anything",
        "no link on blog, docs: what else is there is clicked instead, if anything",
    ]
    clicked = Counter(
        e["payload"]["path"] for v in sessions(SHARES, 300, base=base) for e in v if "element" in e["payload"]
    )
    assert clicked["/docs"] > 20
    assert clicked["/blog"] == 0


def test_a_name_of_ones_own() -> None:
    """A name that is not known becomes an event type, which tells of the open page and of who visits it."""
    visits = sessions({**SHARES, "button_click": 0.3, "form_submit": 0.1}, 50)
    submits = [e for visit in visits for e in visit if e["event_type"] == "omninode.visitor.form.submit.v1"]
    assert {"path", "title", "user_id", "browser"} <= set(submits[0]["payload"])


def test_pages_and_clicks_fit_together() -> None:
    """A click is on a page that has it, and a page that a click opened is the one that it leads to."""
    visitors = Catalog.default().chain("visitor-session").visitors
    assert visitors is not None
    known = {(page.path, click.element, click.kind) for page, click in visitors.clicks}
    kinds = {full_name(f"{kind}_click"): kind for kind in ("button", "link")}
    visits, followed = sessions(SHARES, 200), 0
    for visit in visits:
        by_id = {event["event_id"]: event for event in visit}
        for event in visit:
            said, cause = event["payload"], by_id.get(event["causation_id"])
            if "element" in said:
                assert (said["path"], said["element"], kinds[event["event_type"]]) in known
            if "title" in said and cause and "href" in cause["payload"]:
                assert cause["payload"]["href"] == said["path"]
                followed += 1
    assert followed > 40


def test_nobody_has_to_wait() -> None:
    """Without human delays events are a millisecond apart."""
    hurried = Catalog.default().with_visitors(behaviour=Behaviour(human_like_delays=False))
    catalog = with_probabilities(hurried, SHARES).only("visitor-session")
    events = ChainGenerator(catalog, seed=1).chain("visitor-session")
    assert {(b.timestamp - a.timestamp).total_seconds() for a, b in pairwise(events)} == {0.001}


@pytest.mark.parametrize(
    ("shares", "said"),
    [
        ({**SHARES, "button_click": 0.5}, "expected shares that sum to 1.0, got 1.1 for"),
        ({**SHARES, "button_click": 0.4 + 1e-8}, "expected shares that sum to 1.0, got 1.00000001 for"),
        ({**SHARES, "page_visit": -0.25}, "expected a share of 0 to 1, got -0.25 for page_visit"),
        ({**SHARES, "page_visited": 0.0}, "expected each event type once, got omninode.visitor.page.visited.v1 twice"),
        ({"session_start": 0.0, "page_visit": 1.0}, "no session would begin"),
        (
            {"session_start": 0.1, "search_query": 0.9},
            r"for page_visit: search_query \(0.9\) needs an open page",
        ),
        (
            {"session_start": 0.01, "page_visit": 0.01, "button_click": 0.98},
            "ask for 98 clicks a page, and at most 60 are possible",
        ),
        (
            {**SHARES, "button_click": 0.3, "omninode.agent.execution.failed.v1": 0.1},
            "failed.v1, which is of another chain",
        ),
    ],
)
def test_shares_that_cannot_be(shares: dict[str, float], said: str) -> None:
    """Wrong shares are refused, with the sum or the name."""
    with pytest.raises(CatalogError, match=said):
        with_probabilities(Catalog.default(), shares)


def test_rounding_is_forgiven() -> None:
    """A sum may differ from 1 by what rounding leaves of decimal fractions."""
    visitors = with_probabilities(Catalog.default(), {**SHARES, "button_click": 0.4 + 5e-10}).chain("visitor-session")
    assert visitors.visitors is not None
    shares = visitors.visitors.shares
    assert math.fsum(shares.values()) == pytest.approx(1, abs=1e-15)
    assert [shares[name] for name in ("created", "visited", "button")] == pytest.approx([0.05, 0.25, 0.4], abs=1e-9)
