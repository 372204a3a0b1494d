"""Scenario files: scalars are coerced where that is harmless, and all mistakes are reported together with lines."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from eventbus.catalog import Catalog, InvalidScenario, Phase, Scenario, UnknownName
from eventbus.catalog.model import (
    Advanced,
    ClosedWorkload,
    ConstantRate,
    Fault,
    Fixed,
    OpenWorkload,
    Spacing,
)
from eventbus.catalog.reading.arrivals import load_profile

OLD = """\
simulation:
  num_users: 20
  duration_seconds: 600
  api_url: http://localhost:8000/api/event
event_probabilities:
  session_start: 0.05
  session_end: 0.05
  page_visit: 0.25
  page_close: 0.20
  button_click: 0.40
  link_click: 0.05
user_behavior:
  session_duration_min: 60
  session_duration_max: 600
  pages_per_session_min: 3
  pages_per_session_max: 15
  time_per_page_min: 10
  time_per_page_max: 120
  clicks_per_page_min: 0
  clicks_per_page_max: 8
advanced:
  save_to_file: true
  output_file: events.json
  verbose: false
  retry_on_failure: true
  max_retries: 3
  stats_interval: 30
  human_like_delays: true
"""

SHARES = ("session_start", "session_end", "page_visit", "page_close", "button_click", "link_click")
FLATTENED = ("simulation:", "user_behavior:", "advanced:")

Load = Callable[..., Scenario]


@pytest.fixture
def load(tmp_path: Path) -> Load:
    """Loads a text as a scenario, with overrides."""

    def loaded(text: str, *overrides: str, catalog: Catalog | None = None) -> Scenario:
        path = tmp_path / "mine.yaml"
        path.write_text(text)
        return Scenario.load(path, overrides, catalog=catalog)

    return loaded


@pytest.fixture
def mistakes(load: Load) -> Callable[..., list[tuple[int, str, str]]]:
    """Line, location and problem of each mistake."""

    def found(text: str, *overrides: str) -> list[tuple[int, str, str]]:
        with pytest.raises(InvalidScenario) as caught:
            load(text, *overrides)
        assert {mistake.file.split(" ")[0].rpartition("/")[2] for mistake in caught.value.mistakes} <= {
            "mine.yaml",
            "--set",
        }
        return [(mistake.line, mistake.where, mistake.problem) for mistake in caught.value.mistakes]

    return found


def test_a_file_of_the_four_sections_is_read_as_it_is(load: Load) -> None:
    """Everything in such a file is in the scenario."""
    scenario = load(OLD)
    assert scenario.name == "mine"
    assert (scenario.arrivals, scenario.duration) == (ClosedWorkload(users=20, ramp_up=10), 600)
    assert scenario.api_url == "http://localhost:8000/api/event"
    assert scenario.advanced == Advanced(
        save_to_file=True,
        output_file="events.json",
        verbose=False,
        retry_on_failure=True,
        max_retries=3,
        stats_interval=30,
        human_like_delays=True,
    )


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("num_users: 20", "num_users: '20'"),
        ("num_users: 20", "num_users: 20.0"),
        ("duration_seconds: 600", "duration_seconds: 10m"),
        ("duration_seconds: 600", 'duration_seconds: "600"'),
        ("save_to_file: true", "save_to_file: True"),
        ("save_to_file: true", "save_to_file: yes"),
        ("save_to_file: true", "save_to_file: 'on'"),
        ("page_visit: 0.25", "page_visited: .25"),
        ("verbose: false", "verbose: FALSE"),
        ("advanced:", "arrivals: ~\nfaults:\nadvanced:"),
    ],
)
def test_other_spellings_mean_the_same(load: Load, old: str, new: str) -> None:
    """Quoted numbers, integers with a fraction of 0, flags of YAML 1.1, sections and members without a value."""
    assert load(OLD.replace(old, new)) == load(OLD)


def test_shares_make_visitors_who_act_at_random(load: Load) -> None:
    """Unknown names define event types; a note says where the stream will differ from the shares."""
    shares = "{session_start: 0.1, session_end: 0.2, page_visit: 0.4, form_submit: 0.3}"
    scenario = load(f"event_probabilities: {shares}")
    chain = scenario.catalog.chain("visitor-session")
    assert {state.emits for state in chain.states.values()} == {
        *("omninode.visitor.session.created.v1", "omninode.visitor.session.ended.v1"),
        *("omninode.visitor.page.visited.v1", "omninode.visitor.form.submit.v1"),
        "omninode.visitor.page.closed.v1",  # what becomes of an open page at the end of a run
    }
    assert [name for name, other in scenario.catalog.chains.items() if other.weight] == ["visitor-session"]
    assert ["session_end (0.2) is above session_start (0.1)" in note for note in scenario.notes] == [True]
    assert not load(OLD).notes


def test_nothing_at_all_is_the_default(load: Load) -> None:
    """Members without a value count as absent, and 0 seconds mean endless."""
    empty = load("simulation:\n  num_users: ~\n  duration_seconds: 0\n  api_url: ''\nadvanced:\n")
    assert (empty.arrivals, empty.duration, empty.api_url) == (None, None, None)
    assert empty.advanced == Advanced()


@pytest.mark.parametrize(
    ("text", "journeys"),
    [
        ("simulation: {num_users: 10}", "shop"),
        ("num_users: 10", "shop"),
        ("profile: visitors", "site"),
        ("simulation: {num_users: 10}\njourneys: site", "site"),
        ("profile: visitors\njourneys: shop", "shop"),
        ("user_behavior: {clicks_per_page_max: 3}", "site"),
    ],
)
def test_users_go_shopping_and_a_profile_brings_readers_unless_journeys_are_named(
    load: Load, text: str, journeys: str
) -> None:
    """The set of journeys that each kind of file has when it names none."""
    visitors = load(text).catalog.chain("visitor-session").visitors
    assert visitors is not None
    assert visitors.journeys == journeys
    assert [journey.name for journey in visitors.active_journeys if journey.weight == 30] == [
        {"shop": "shopping", "site": "basic"}[journeys]
    ]


def test_a_site_without_the_default_set_keeps_its_own(load: Load) -> None:
    """A catalog of one's own names its sets as it likes."""
    catalog = Catalog.default()
    session = catalog.chain("visitor-session")
    assert session.visitors is not None
    visitors = replace(session.visitors, sets={"mine": session.visitors.sets["site"]}, journeys="mine")
    chains = {**catalog.chains, "visitor-session": replace(session, visitors=visitors)}
    changed = load("num_users: 3", catalog=Catalog(events=catalog.events, chains=chains, lists=catalog.lists))
    mine = changed.catalog.chain("visitor-session").visitors
    assert mine is not None
    assert mine.journeys == "mine"


def test_a_flat_file_means_the_same_as_one_with_sections(load: Load) -> None:
    """Every key of `simulation`, `user_behavior` and `advanced` may stand at the top level."""
    flat = "\n".join(line.strip() for line in OLD.splitlines() if line.strip() not in FLATTENED)
    shares = [line.split(":")[0] for line in OLD.splitlines() if line.startswith("  session_st")]
    assert len(flat.splitlines()) == len(OLD.splitlines()) - len(FLATTENED)
    assert shares == ["  session_start"]
    lines = [f"  {line}" if line.split(":")[0] in SHARES else line for line in flat.splitlines()]
    assert load("\n".join(lines)) == load(OLD)


def test_an_option_changes_a_flat_key_and_a_flat_option_changes_a_section(load: Load) -> None:
    """`--set` reaches a value by either path."""
    for text in ("num_users: 5", "simulation: {num_users: 5}"):
        assert load(text, "num_users=7").arrivals == ClosedWorkload(users=7, ramp_up=3.5)
    assert load("simulation: {num_users: 5}", "simulation.num_users=7").arrivals == ClosedWorkload(users=7, ramp_up=3.5)
    assert load("num_users: 5", "simulation.num_users=7").arrivals == ClosedWorkload(users=7, ramp_up=3.5)


@pytest.mark.parametrize(
    ("text", "line", "where", "problem"),
    [
        (
            "simulation: {num_users: 5}\nnum_users: 6",
            2,
            "num_users",
            "already given on line 1, as simulation.num_users",
        ),
        ("num_users: 5\nnum_users: 6", 2, "num_users", "already given on line 1, as simulation.num_users"),
        ("num_users: many", 1, "simulation.num_users", "expected a whole number, got 'many'"),
        ("simulation: 5\nnum_users: 6", 2, "num_users", "'5' has no members"),
        ("num_usres: 5", 1, "num_usres", "did you mean 'num_users'?"),
    ],
)
def test_a_flat_key_is_given_once_and_its_mistakes_have_their_line(
    mistakes: Any, text: str, line: int, where: str, problem: str
) -> None:
    """A key at the top and in its section contradict each other, and neither silently wins."""
    reported = mistakes(text)
    assert (line, where) in [(at, place) for at, place, _ in reported]
    assert any(problem in said for _, _, said in reported)


@pytest.mark.parametrize(
    ("text", "about_visitors"),
    [
        ("advanced: {verbose: true}", True),
        ("verbose: true", True),
        ("simulation: {duration_seconds: 60}", True),
        ("profile: visitors", True),
        ("advanced: {verbose: true}\narrivals: {rate: 3}", False),
        ("simulation: {duration_seconds: 60}\nphases: [{at: 0}]", False),
        ("faults: [{kind: drop, rate: 0.1}]", False),
        ("seed: 3", False),
    ],
)
def test_a_file_of_simulator_sections_alone_is_about_visitors(load: Load, text: str, about_visitors: bool) -> None:
    """Sections that older simulators do not know make a file one about all chains."""
    names = [name for name, chain in load(text).catalog.chains.items() if chain.weight]
    assert (names == ["visitor-session"]) is about_visitors
    assert len(names) > 5 or about_visitors


def test_an_output_file_that_is_not_written_is_not_ignored_silently(load: Load) -> None:
    """`output_file` alone says where, but not whether."""
    assert [note for note in load("output_file: x.json").notes if "no effect without advanced.save_to_file" in note]
    assert not load("advanced: {output_file: x.json, save_to_file: yes}").notes


def test_without_delays_users_come_at_once_and_take_no_break(load: Load) -> None:
    """`human_like_delays: false` is for speed."""
    assert load(OLD, "advanced.human_like_delays=false").arrivals == ClosedWorkload(users=20, think=Fixed(value=0))


def test_everything_new(load: Load) -> None:
    """Arrivals, weights, faults and phases."""
    scenario = load(
        """\
description: All of it.
seed: 7
arrivals: {rate: 600/h}
chains: {vault-read: 3, database-query: 1}
faults:
  - {kind: late, rate: 0.01, min: 2s, max: 10s, chain: vault-read}
  - {kind: reorder, rate: 0.5, max: 3}
  - {kind: schema, rate: 0.1, field: [path], type: omninode.vault.secret.read.requested.v1}
phases:
  - {at: 0}
  - {at: 2m, failed: 6, delay: 1.5, chains: [vault-read]}
"""
    )
    assert (scenario.description, scenario.seed) == ("All of it.", 7)
    assert scenario.arrivals == OpenWorkload(rate=ConstantRate(rate=1 / 6))
    weights = {name: chain.weight for name, chain in scenario.catalog.chains.items() if chain.weight}
    assert weights == {"vault-read": 3, "database-query": 1}
    assert scenario.faults == (
        Fault(kind="late", rate=0.01, bounds=(2_000_000, 10_000_000), chains=("vault-read",)),
        Fault(kind="reorder", rate=0.5, bounds=(1, 3)),
        Fault(kind="schema", rate=0.1, fields=("path",), event_types=("omninode.vault.secret.read.requested.v1",)),
    )
    assert scenario.phases == (Phase(at=0), Phase(at=120, failed=6, delay=1.5, chains=("vault-read",)))


def test_a_profile_is_followed_evenly(load: Load) -> None:
    """The section `profile` has stratified spacing."""
    followed = OpenWorkload(rate=load_profile("office"), spacing=Spacing(name="even"))
    assert load("profile: office").arrivals == load("arrivals: {profile: office, spacing: even}").arrivals == followed


def test_all_mistakes_are_in_one_report_with_their_lines(mistakes: Any) -> None:
    """Those of the file by line, then those of the overrides."""
    slips = OLD
    for right, wrong in (
        ("num_users: 20", "num_usres: 20"),
        ("duration_seconds: 600", "duration_seconds: -1"),
        ("http://localhost", "localhost"),
        ("page_visit: 0.25", "page_visit: a quarter"),
        ("session_duration_min: 60", "session_duration_min: 700"),
        ("pages_per_session_max: 15", "pages_per_session_max: 15.5"),
        ("verbose: false", "verbose: maybe"),
        ("max_retries: 3", "max_retries: -3"),
    ):
        slips = slips.replace(right, wrong)
    assert [(line, where) for line, where, _ in mistakes(slips, "advanced.stats_intrval=3")] == [
        (2, "simulation.num_usres"),
        (3, "simulation.duration_seconds"),
        (4, "simulation.api_url"),
        (8, "event_probabilities.page_visit"),
        (13, "user_behavior.session_duration_min"),
        (16, "user_behavior.pages_per_session_max"),
        (24, "advanced.verbose"),
        (26, "advanced.max_retries"),
        (0, "advanced.stats_intrval"),
    ]


def test_no_mistake_hides_another(mistakes: Any) -> None:
    """Shares are added up also where two names mean the same, and both of two ways to define arrivals are read."""
    text = "profile: nix\narrivals: {rate: 0}\nevent_probabilities: {page_visit: 0.5, screen_view: 0.1}"
    assert sorted(where for _, where, _ in mistakes(text)) == [
        "arrivals",
        "arrivals.rate",
        "event_probabilities",
        "event_probabilities.screen_view",
        "profile",
    ]


@pytest.mark.parametrize(
    ("text", "where", "problem"),
    [
        ("simulatoin: {}", "simulatoin", "did you mean 'simulation'?"),
        ("simulation: {num_users: 0}", "simulation.num_users", "expected 1 to 1,000,000 users, got 0"),
        ("simulation: {num_users: 2.5}", "simulation.num_users", "expected a whole number, got 2.5"),
        ("simulation: {num_users: yes}", "simulation.num_users", "expected a whole number, got 'yes'"),
        ("simulation: {duration_seconds: soon}", "simulation.duration_seconds", "expected seconds, or a duration"),
        ("simulation: {num_users: 3}\narrivals: {rate: 3}", "arrivals", "only one of arrivals, simulation"),
        ("arrivals: {rate: 3}\nprofile: office", "arrivals", "expected only one of arrivals, profile"),
        ("profile: offices", "profile", "expected one of office, visitors"),
        ("profile: {hours: [1, 2]}", "profile.hours", "expected 24 numbers"),
        ("event_probabilities: {page_visit: 0.6, x: 0.5}", "event_probabilities", "sum to 1.0, got 1.1 for page_visit"),
        ("event_probabilities: {foo bar: 0.5, session_start: 0.5}", "foo bar", "the name of an event such as video_pl"),
        ("event_probabilities: {page_visit: 1.5}", "event_probabilities.page_visit", "a share of 0 to 1, got 1.5"),
        ("event_probabilities: {a: 0.5, page_visit: 0.5, screen_view: 0}", "screen_view", "already has a share"),
        ("event_probabilities: {page_visit: 0.5, session_end: 0.5}", "event_probabilities", "no session would begin"),
        ("user_behavior: {clicks_per_page_max: 5000}", "clicks_per_page_max", "expected 0 to"),
        ("user_behavior: {clicks_per_pgae_max: 5}", "clicks_per_pgae_max", "did you mean 'clicks_per_page_max'?"),
        ("advanced: {max_retries: 101}", "advanced.max_retries", "expected 0 to 100 retries"),
        ("chains: {vault-reed: 1}", "chains.vault-reed", "did you mean 'vault-read'?"),
        ("chains: {vault-read: -1}", "chains.vault-read", "expected 0 or more"),
        ("chains: {vault-read: 0}", "chains", "at least one chain with a weight above 0"),
        ("faults: [{kind: lat, rate: 0.1}]", "faults[0].kind", "expected one of drop, "),
        ("faults: [{kind: late, rate: 2}]", "faults[0].rate", "expected a rate of 0 to 1, got 2"),
        ("faults: [{kind: late}]", "faults[0]", "'rate' is required"),
        ("faults: [{kind: drop, rate: 0.1, max: 3s}]", "faults[0].max", "has no bounds"),
        ("faults: [{kind: late, rate: 0.1, min: 3s, max: 1s}]", "faults[0].max", "not below min"),
        ("faults: [{kind: late, rate: 0.1, chain: nope}]", "faults[0].chain", "unknown chain 'nope'"),
        ("faults: [{kind: late, rate: 0.1, type: [nope]}]", "faults[0].type[0]", "unknown event type 'nope'"),
        ("faults: [{kind: late, rate: 0.1, field: x}]", "faults[0].field", "the fault late has no fields"),
        ("phases: [{at: 1m}, {at: 60}]", "phases[1]", "expected a moment after that of the previous phase"),
        ("phases: [{at: -1}]", "phases[0].at", "expected 0 s or later"),
        ("phases: [{at: 1, delay: 0}]", "phases[0].delay", "expected a factor above 0"),
        ("phases: [{at: 1, failed: -1}]", "phases[0].failed", "expected 0 or more"),
        ("phases: [{failed: 1}]", "phases[0]", "'at' is required"),
        ("phases: [{at: 1, chains: [nope]}]", "phases[0].chains[0]", "unknown chain 'nope'"),
        ("[]", "file", "expected a mapping"),
        ("", "file", "is empty"),
    ],
)
def test_each_mistake_is_reported_where_it_is(mistakes: Any, text: str, where: str, problem: str) -> None:
    """One mistake, one line, one sentence with what was expected and what the file has."""
    [(line, found, said)] = mistakes(text)
    assert line >= 1
    assert found.endswith(where)
    assert problem in said


@pytest.mark.parametrize(
    ("option", "where", "problem"),
    [
        ("simulation.num_users=many", "simulation.num_users", "expected a whole number, got 'many'"),
        ("simulation.num_usres=3", "simulation.num_usres", "did you mean 'num_users'?"),
        ("phases[2].at=5m", "phases[2].at", "expected an item from [0] to [1] (a new one), got 2"),
        ("faults[1].rate=0.5", "faults[1].rate", "expected [0], the first item of the list, got 1"),
        ("faults[0].rate=0.5", "faults[0]", "'kind' is required"),
        ("phases.first.at=5m", "phases.first.at", "expected an item"),
        ("description.short=x", "description.short", "has no members"),
        ("simulation.num_users", "option", "expected PATH=VALUE"),
        ("=3", "option", "expected PATH=VALUE"),
        ("chains={a: [}", "chains", "is not YAML"),
        ("chains=&a [*a]", "chains", "an alias contains itself"),
    ],
)
def test_a_mistake_in_an_option_names_the_option(mistakes: Any, option: str, where: str, problem: str) -> None:
    """An override has no line."""
    [(line, found, said)] = mistakes("description: Some\nphases: [{at: 1}]\n", option)
    assert (line, found) == (0, where)
    assert problem in said


def test_the_text_of_an_option_that_is_wrong(load: Load) -> None:
    """It replaces the file and the line."""
    with pytest.raises(
        InvalidScenario, match="scenario has 1 mistake:\n--set seed=x: seed: expected a whole number, got 'x'"
    ):
        load("description: Some", "seed=x")


def test_an_option_begins_a_list_that_the_file_does_not_have(load: Load) -> None:
    """Item [0] of a section that is absent is its first one."""
    scenario = load("description: Some", "faults[0].kind=late", "faults[0].rate=0.5", "faults[1]={kind: drop, rate: 1}")
    assert [(fault.kind, fault.rate) for fault in scenario.faults] == [("late", 0.5), ("drop", 1.0)]


def test_options_change_add_and_follow_each_other(load: Load) -> None:
    """Of members, items, members of items, whole sections, and twice of the same one."""
    text = "phases: [{at: 1m}]\nsimulation:\n"
    scenario = load(
        text,
        "simulation.num_users=5",
        "simulation.num_users=7",
        "phases[0].failed=3",
        "phases[1]={at: 2m}",
        "phases.1.delay=2",
        "seed=9",
    )
    assert scenario.arrivals == ClosedWorkload(users=7, ramp_up=3.5)
    assert scenario.phases == (Phase(at=60, failed=3), Phase(at=120, delay=2))
    assert scenario.seed == 9


def test_an_option_changes_one_of_two_places_that_share_an_alias(load: Load) -> None:
    """A value that an alias shares is changed only at the path of the override."""
    scenario = load("phases:\n - &p {at: 60, failed: 2}\n - {<<: x, at: 61}\n".replace("<<: x, ", ""), "phases[0].at=5")
    assert scenario.phases[0] == Phase(at=5, failed=2)
    shared = "faults:\n - &f {kind: drop, rate: 0.5}\n - *f\n"
    assert [fault.rate for fault in load(shared, "faults[1].rate=0.1").faults] == [0.5, 0.1]


def test_a_name_that_is_neither_shipped_nor_a_file() -> None:
    """The error lists the shipped scenarios."""
    with pytest.raises(UnknownName, match="did you mean 'incident'"):
        Scenario.load("incidnet")


def test_weights_hold_for_the_catalog_that_is_given(load: Load) -> None:
    """A scenario may name chains of a catalog that is put on top of the shipped one."""
    catalog = Catalog.default()
    renamed = {"mine": catalog.chain("vault-read")}
    scenario = load("chains: {mine: 2}", catalog=Catalog(events=catalog.events, chains=renamed, lists=catalog.lists))
    assert scenario.catalog.chain("mine").weight == 2
