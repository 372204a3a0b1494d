"""Scenarios whose bounds and shares contradict each other: what wins is what the manual says, and a note says so."""

from __future__ import annotations

import json
from collections import defaultdict
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from eventbus.catalog import Scenario
from eventbus.chains import ChainGenerator
from eventbus.event import Event

SESSIONS = 300


class Measured(NamedTuple):
    """What sessions had; times in seconds."""

    pages: list[int]
    clicks: list[int]
    """Of each page that was closed."""
    times: list[float]
    """On each of them."""
    gaps: list[float]
    durations: list[float]


def load(directory: Path, **sections: Any) -> Scenario:
    path = directory / "scenario.yaml"
    path.write_text(json.dumps({"simulation": {"num_users": 20}, **sections}))
    return Scenario.load(str(path))


def measure(scenario: Scenario) -> Measured:
    """The visitors' events of whole sessions, counted."""
    sessions: dict[str, list[Event]] = defaultdict(list)
    for event in ChainGenerator.from_scenario(scenario, seed=1).events(chains=SESSIONS):
        if event.event_type.startswith("omninode.visitor."):
            sessions[event.correlation_id].append(event)
    assert len(sessions) == SESSIONS
    closed = [event.payload for session in sessions.values() for event in session if "scroll_depth" in event.payload]
    return Measured(
        pages=[session[-1].payload["pages"] for session in sessions.values()],
        clicks=[payload["clicks"] for payload in closed],
        times=[payload["time_on_page_ms"] / 1000 for payload in closed],
        gaps=[
            (after.timestamp - before.timestamp).total_seconds()
            for session in sessions.values()
            for before, after in pairwise(session)
        ],
        durations=[session[-1].payload["duration_ms"] / 1000 for session in sessions.values()],
    )


def test_shares_do_not_widen_a_bound_that_the_scenario_gives(tmp_path: Path) -> None:
    """Fewer pages than usual on average, 2.9, and still none beyond the maximum."""
    shares = {"session_start": 0.1, "session_end": 0.1, "page_visit": 0.29, "page_close": 0.29, "button_click": 0.22}
    scenario = load(tmp_path, event_probabilities=shares, user_behavior={"pages_per_session_max": 3})
    assert set(measure(scenario).pages) == {2, 3}


def test_a_minimum_length_that_the_shares_do_not_reach_is_named(tmp_path: Path) -> None:
    """The shares leave one page or two, which cannot take five minutes."""
    shares = {"session_start": 0.2, "session_end": 0.2, "page_visit": 0.3, "page_close": 0.3}
    scenario = load(tmp_path, event_probabilities=shares, user_behavior={"session_duration_min": 300})
    assert min(measure(scenario).durations) < 300
    assert [note for note in scenario.notes if "session_duration_min is 300 s: such sessions are shorter" in note]


def test_a_session_that_is_too_short_for_a_page_keeps_its_delays(tmp_path: Path) -> None:
    """The length of a session wins over the time on a page, which leaves the time between events as it is."""
    scenario = load(tmp_path, user_behavior={"session_duration_max": 40, "time_per_page_min": 60})
    measured = measure(scenario)
    assert max(measured.durations) <= 40
    assert max(measured.times) < 60
    assert min(measured.gaps) >= 1.999
    assert [note for note in scenario.notes if "time_per_page_min 60 s" in note and "session_duration_max 40 s" in note]


def test_clicks_give_way_to_the_length_of_a_session(tmp_path: Path) -> None:
    """Where one page with all its clicks would outlast the session, it has fewer clicks, in the usual time."""
    bounds = {"session_duration_max": 30, "time_per_page_max": 120, "action_delay_min": 5, "clicks_per_page_max": 8}
    measured = measure(load(tmp_path, user_behavior=bounds))
    assert max(measured.durations) <= 30
    assert max(measured.clicks) == 3
    assert min(measured.gaps) >= 4.999


@pytest.mark.parametrize(
    ("bounds", "said"),
    [
        (
            {"session_duration_max": 5},
            "action_delay_min 2 s does not fit into session_duration_max 5 s three times",
        ),
        (
            {"session_duration_max": 40, "time_per_page_min": 2},
            "3 pages with 8 clicks on each cannot take less than 62 s, and session_duration_max is 40 s",
        ),
        (
            {"action_delay_max": 2, "clicks_per_page_max": 1, "time_per_page_min": 2},
            "3 pages with 0 clicks on each cannot take more than 14 s with action_delay_max 2 s, and "
            "session_duration_min is 60 s: the length of the session wins",
        ),
    ],
)
def test_bounds_that_cannot_hold_together_are_named(tmp_path: Path, bounds: dict[str, float], said: str) -> None:
    """Both numbers, and what wins; it does."""
    scenario = load(tmp_path, user_behavior=bounds)
    assert [note for note in scenario.notes if said in note]
    durations = measure(scenario).durations
    assert bounds.get("session_duration_min", 0) <= min(durations)
    assert max(durations) <= bounds.get("session_duration_max", 600)


def test_shares_that_sessions_are_too_short_for_are_not_claimed(tmp_path: Path) -> None:
    """Sessions end early, so the stream has other shares, which the notes do not foretell."""
    shares = {"session_start": 0.01, "session_end": 0.01, "page_visit": 0.2, "page_close": 0.2, "button_click": 0.58}
    bounds = {"session_duration_max": 60, "pages_per_session_max": 15}
    notes = load(tmp_path, event_probabilities=shares, user_behavior=bounds).notes
    assert [note for note in notes if "with fewer pages than the shares ask for" in note]
    assert not [note for note in notes if note.startswith("so the shares of the stream are")]


def test_sections_about_visitors_are_not_ignored_in_silence(tmp_path: Path) -> None:
    """`chains` without visitors leaves them without effect."""
    shares = {"session_start": 0.5, "page_visit": 0.5}
    scenario = load(
        tmp_path, chains={"vault-read": 1}, event_probabilities=shares, user_behavior={"clicks_per_page_max": 2}
    )
    assert scenario.notes == (
        "event_probabilities and user_behavior have no effect: no chain in `chains` has visitors",
    )
    assert not load(tmp_path, chains={"vault-read": 1}).notes
