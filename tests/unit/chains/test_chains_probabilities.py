"""Visitors by chance alone: shares of the stream, sessions that end or are abandoned, and names of one's own."""

from __future__ import annotations

import json
import math
from collections import Counter, defaultdict
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eventbus.catalog import Catalog, CatalogError
from eventbus.catalog.model import Behaviour, full_name
from eventbus.catalog.visitors_by_chance import warnings, with_probabilities
from eventbus.chains import ChainGenerator

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


def sessions(shares: Mapping[str, float], count: int, seed: int = 3) -> list[list[dict[str, Any]]]:
    catalog = with_probabilities(Catalog.default(), shares).only("visitor-session")
    found: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for lines in ChainGenerator(catalog, seed=seed).lines(chains=count):
        for line in lines:
            event = json.loads(line)
            found[event["correlation_id"]].append(event)
    return list(found.values())


def deviation(shares: Mapping[str, float], name: str, visits: list[list[dict[str, Any]]]) -> float:
    """How far a share is off, in standard deviations of its mean over sessions (whose events hang together)."""
    share = shares[name]
    off = [sum(event["event_type"] == full_name(name) for event in visit) - share * len(visit) for visit in visits]
    mean = math.fsum(off) / len(off)
    spread = math.sqrt(math.fsum((one - mean) ** 2 for one in off) / (len(off) - 1))
    return abs(mean) / (spread / math.sqrt(len(off))) if spread else 0.0


@pytest.mark.parametrize(
    "shares",
    [
        SHARES,
        {**SHARES, "session_end": 0.02, "form_submit": 0.03},
        {**SHARES, "session_end": 0.0, "video_play": 0.05},
        {"session_start": 0.5, "session_end": 0.5},
        {"session_start": 0.5, "session_end": 0.3, "page_visit": 0.2},
        {"session_start": 0.1, "session_end": 0.1, "search_query": 0.8},
    ],
)
def test_shares_of_the_stream(shares: dict[str, float]) -> None:
    """Every event type has its share of the stream, also where sessions are abandoned."""
    visits = sessions(shares, 4000)
    assert {name: deviation(shares, name, visits) < FAR for name in shares} == dict.fromkeys(shares, True)


@settings(max_examples=15, deadline=None)
@given(st.lists(st.integers(1, 100), min_size=6, max_size=6), st.integers(0, 1000))
def test_any_shares(weights: list[int], seed: int) -> None:
    """So it is for any shares with at least as many beginnings as ends."""
    weights[0], weights[1] = max(weights[:2]), min(weights[:2])
    shares = {name: weight / sum(weights) for name, weight in zip(SHARES, weights, strict=True)}
    visits = sessions(shares, 800, seed)
    assert all(deviation(shares, name, visits) < FAR for name in shares)


def test_a_session_begins_once() -> None:
    """Each session has one beginning, at its start, and one end at most, at its end."""
    for visit in sessions({**SHARES, "session_end": 0.02, "page_visit": 0.28}, 300):
        names = [event["event_type"] for event in visit]
        assert names.index(full_name("session_start")) == 0
        assert Counter(names)[full_name("session_start")] == 1
        assert full_name("session_end") not in names[:-1]


def test_more_ends_than_beginnings() -> None:
    """A session ends once at most: as many end as begin, and that is said."""
    shares = {**SHARES, "session_end": 0.10, "page_visit": 0.20}
    counts = Counter(event["event_type"] for visit in sessions(shares, 500) for event in visit)
    assert counts[full_name("session_end")] == counts[full_name("session_start")] == 500
    [sentence] = warnings(shares)
    assert sentence.startswith("session_end (0.1) is above session_start (0.05)")
    assert not warnings(SHARES)


def test_a_name_of_ones_own() -> None:
    """A name that is not known becomes an event type, which tells of a page and of who visits it."""
    visits = sessions({**SHARES, "button_click": 0.3, "form_submit": 0.1}, 50)
    submits = [e for visit in visits for e in visit if e["event_type"] == "omninode.visitor.form.submit.v1"]
    assert {"path", "title", "user_id", "browser"} <= set(submits[0]["payload"])


def test_pages_and_clicks_fit_together() -> None:
    """A click is on a page that has it."""
    visitors = Catalog.default().chain("visitor-session").visitors
    assert visitors is not None
    known = {(page.path, click.element, click.kind) for page, click in visitors.clicks}
    clicks = [e for visit in sessions(SHARES, 50) for e in visit if "element" in e["payload"]]
    kinds = {full_name(f"{kind}_click"): kind for kind in ("button", "link")}
    assert {(e["payload"]["path"], e["payload"]["element"], kinds[e["event_type"]]) for e in clicks} <= known


def test_nobody_has_to_wait() -> None:
    """The behaviour says how far apart events are."""
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
    ],
)
def test_shares_that_cannot_be(shares: dict[str, float], said: str) -> None:
    """Wrong shares are refused, with the sum or the name."""
    with pytest.raises(CatalogError, match=said):
        with_probabilities(Catalog.default(), shares)


def test_rounding_is_forgiven() -> None:
    """A sum may differ from 1 by what rounding leaves of decimal fractions; the weights are those of the shares."""
    catalog = with_probabilities(Catalog.default(), {**SHARES, "button_click": 0.4 + 5e-10})
    states = catalog.chain("visitor-session").states
    assert set(states) == {full_name(name).split(".", 2)[2].rsplit(".", 1)[0].replace(".", "_") for name in SHARES}
    for state in states.values():
        weights = {full_name(name): SHARES[name] / (1 - SHARES["session_start"]) * 100 for name in SHARES}
        actual = {states[transition.to].emits: transition.weight for transition in state.next}
        if state.outcome:
            assert actual == {}
        else:
            del weights[full_name("session_start")]
            assert actual == pytest.approx(weights, abs=1e-6)
            assert math.isclose(state.abandon + sum(actual.values()), 100, abs_tol=1e-9)
