"""A scenario's file → `Scenario`: its sections one by one, and all mistakes together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from eventbus.catalog.errors import InvalidScenario, Mistake, join_names
from eventbus.catalog.model import (
    FAULT_KINDS,
    Advanced,
    Arrivals,
    ClosedWorkload,
    FaultSetting,
    Fixed,
    OpenWorkload,
    Phase,
    ScenarioSettings,
    Sections,
    Spacing,
)
from eventbus.catalog.reading import scalars
from eventbus.catalog.reading.arrivals import profile_of, read_arrivals
from eventbus.catalog.reading.document import YamlNode, override, read_document, text_of
from eventbus.catalog.reading.scalars import factor, names
from eventbus.catalog.reading.scenario_visitors import apply_visitor_sections, read_probabilities
from eventbus.catalog.validation.workload import MOST_USERS, profile_problems
from eventbus.catalog.visitors_by_chance import warnings

# A scenario's `faults` and `phases`: what goes wrong, and when.


FAULT = ("kind", "rate", "min", "max", "chain", "type", "field")
PHASE = ("at", "failed", "delay", "chains")
MICROSECONDS = 1_000_000
MAX_BOUND = 1 << 40
"""Microseconds, or places."""


def read_faults(node: YamlNode, catalog: Sections) -> tuple[FaultSetting, ...]:
    """A list of `{kind: late, rate: 0.01, max: 10s, chain: NAME}`."""
    return tuple(_fault(item, catalog) for item in node.items())


def read_phases(node: YamlNode, catalog: Sections) -> tuple[Phase, ...]:
    """A list of `{at: 2m, failed: 6, delay: 3, chains: [NAME]}`."""
    items, mistakes = node.items(), len(node.mistakes)
    phases = tuple(_phase(item, catalog) for item in items)
    for item, (before, phase) in zip(items[1:], pairwise(phases), strict=False):
        if phase.at <= before.at and len(node.mistakes) == mistakes:
            item.complain(f"expected a later moment than that of the phase before, {before.at:g} s, got {phase.at:g} s")
    return phases


def _fault(node: YamlNode, catalog: Sections) -> FaultSetting:
    members = node.members(FAULT, required=("kind", "rate"))
    kind = members["kind"].one_of(tuple(FAULT_KINDS)) if "kind" in members else None
    rate = factor(members, "rate")
    if rate > 1:
        members["rate"].complain(f"expected a rate of 0 to 1, got {rate:g}")
    low, high = (_bound(members[name], kind) if kind and name in members else None for name in ("min", "max"))
    if low is not None and high is not None and high < low:
        members["max"].complain("expected a max that is not below min")
    if kind and kind != "schema" and "field" in members:
        members["field"].complain(f"only the fault schema is about fields, not {kind}")
    return FaultSetting(
        kind=kind or "drop",
        rate=rate,
        low=low,
        high=high,
        chains=names(members["chain"], catalog.chains, "chain") if "chain" in members else (),
        event_types=names(members["type"], catalog.events, "event type") if "type" in members else (),
        fields=_texts(members["field"]) if "field" in members else (),
    )


def _bound(node: YamlNode, kind: str) -> int | None:
    """Microseconds, or places in the stream."""
    unit = FAULT_KINDS[kind]
    if unit is None:
        node.complain(f"the fault {kind} has no bounds")
        return None
    number = scalars.duration(node) if unit == "time" else scalars.whole(node)
    if number is None:
        return None
    bound = round(number * MICROSECONDS) if unit == "time" else int(number)
    if not 0 <= bound < MAX_BOUND:
        node.complain(f"expected a bound of 0 or more, below {MAX_BOUND:,}, got {number:g}")
    return bound


def _texts(node: YamlNode) -> tuple[str, ...]:
    return tuple(item.text() or "" for item in (node.items() if node.is_list else [node]))


def _phase(node: YamlNode, catalog: Sections) -> Phase:
    members = node.members(PHASE, required=("at",))
    at = scalars.duration(members["at"]) if "at" in members else None
    if at is not None and at < 0:
        members["at"].complain(f"expected 0 s or later, got {at:g}")
    delay = factor(members, "delay")
    if delay == 0:
        members["delay"].complain("expected a factor above 0, got 0")
    return Phase(
        at=at or 0.0,
        failed=factor(members, "failed"),
        delay=delay,
        chains=names(members["chains"], catalog.chains, "chain") if "chains" in members else (),
    )


SECTIONS = (
    *("name", "description", "seed", "simulation", "event_probabilities", "user_behavior", "advanced"),
    *("arrivals", "profile", "chains", "journeys", "faults", "phases"),
)
SIMULATION = ("num_users", "duration_seconds", "api_url")
ADVANCED = (
    *("save_to_file", "output_file", "verbose", "retry_on_failure", "max_retries", "stats_interval"),
    "human_like_delays",
)
MAX_RAMP_UP = 60.0
"""Seconds in which users arrive at most; ..."""
USER_INTERVAL = 0.5
"""... when they are few, one comes after so many seconds."""


class Simulation(NamedTuple):
    """The section `simulation`."""

    users: int | None
    duration: float | None
    api_url: str | None


def load_scenario(path: Path, overrides: Sequence[str], catalog: Sections) -> tuple[ScenarioSettings, Sections]:
    """The settings in a scenario file, and the catalog with the file's changes.

    Raises:
        InvalidScenario: with every mistake of the file and the overrides.
    """
    mistakes: list[Mistake] = []
    document = read_document(path, mistakes)
    scenario = None if document is None else read_scenario(override(document, overrides), catalog)
    if mistakes or scenario is None:
        raise InvalidScenario(sorted(mistakes, key=lambda mistake: (not mistake.line, mistake.line)))  # options last
    return scenario


def read_scenario(document: YamlNode, catalog: Sections) -> tuple[ScenarioSettings, Sections]:
    """The scenario of a document; what is wrong is noted among its mistakes."""
    members = {name: node for name, node in document.members(SECTIONS).items() if not scalars.is_nothing(node)}
    simulation = _simulation(_given(members.get("simulation"), SIMULATION))
    advanced = _advanced(_given(members.get("advanced"), ADVANCED))
    human = advanced.human_like_delays is not False
    shares = read_probabilities(members["event_probabilities"]) if "event_probabilities" in members else {}
    changed = apply_visitor_sections(members, catalog, shares=shares, human=human, users=simulation.users is not None)
    settings = ScenarioSettings(
        description=text_of(members, "description"),
        seed=scalars.whole(members["seed"]) if "seed" in members else None,
        duration=simulation.duration,
        api_url=simulation.api_url,
        arrivals=_arrivals(members, simulation.users, human=human),
        faults=read_faults(members["faults"], catalog) if "faults" in members else (),
        phases=read_phases(members["phases"], catalog) if "phases" in members else (),
        advanced=advanced,
        notes=tuple(warnings(shares)),
    )
    return settings, changed


def _given(node: YamlNode | None, allowed: tuple[str, ...]) -> Mapping[str, YamlNode]:
    """The members that have a value."""
    if node is None:
        return {}
    return {name: member for name, member in node.members(allowed).items() if not scalars.is_nothing(member)}


def _simulation(members: Mapping[str, YamlNode]) -> Simulation:
    users = scalars.whole(members["num_users"]) if "num_users" in members else None
    duration = scalars.duration(members["duration_seconds"]) if "duration_seconds" in members else None
    url = text_of(members, "api_url") or None
    if users is not None and not 1 <= users <= MOST_USERS:
        members["num_users"].complain(f"expected 1 to {MOST_USERS:,} users, got {users:,}")
    if duration is not None and duration < 0:
        members["duration_seconds"].complain(f"expected 0 (endless) or more seconds, got {duration:g}")
    if url and not url.startswith(("http://", "https://")):
        members["api_url"].complain(f"expected an address that begins with http:// or https://, got {url!r}")
    return Simulation(users, duration or None, url)


def _arrivals(members: Mapping[str, YamlNode], users: int | None, *, human: bool) -> Arrivals | None:
    """Users who come one after the other, and again after a break; where nobody waits, at once and without one."""
    given = [name for name in ("arrivals", "profile") if name in members]
    said = [*given, *(["simulation.num_users"] if users is not None else [])]
    if len(said) > 1:
        members[given[0]].complain(f"expected only one of {join_names(said)} to say who comes")
    hourly = _by_the_hour(members["profile"]) if "profile" in members else None
    if "arrivals" in members:
        return read_arrivals(members["arrivals"])
    if hourly is not None:
        return hourly
    if users is None:
        return None
    return (
        ClosedWorkload(users=users, ramp_up=min(MAX_RAMP_UP, users * USER_INTERVAL))
        if human
        else ClosedWorkload(users=users, think=Fixed(value=0))
    )


def _by_the_hour(node: YamlNode) -> OpenWorkload:
    """A profile, its visitors spread over each hour and never in clumps."""
    before, profile = len(node.mistakes), profile_of(node)
    if len(node.mistakes) == before:
        for place, problem in profile_problems(profile):
            node.at(place).complain(problem)
    return OpenWorkload(rate=profile, spacing=Spacing(name="even"))


def _advanced(members: Mapping[str, YamlNode]) -> Advanced:
    retries = scalars.whole(members["max_retries"]) if "max_retries" in members else None
    interval = scalars.duration(members["stats_interval"]) if "stats_interval" in members else None
    if retries is not None and not 0 <= retries <= 100:
        members["max_retries"].complain(f"expected 0 to 100 retries, got {retries}")
    if interval is not None and interval < 0:
        members["stats_interval"].complain(f"expected 0 (none) or more seconds, got {interval:g}")
    return Advanced(
        save_to_file=bool(_flag(members, "save_to_file")),
        output_file=text_of(members, "output_file") or Advanced().output_file,
        verbose=_flag(members, "verbose"),
        retry_on_failure=_flag(members, "retry_on_failure"),
        max_retries=retries,
        stats_interval=interval,
        human_like_delays=_flag(members, "human_like_delays"),
    )


def _flag(members: Mapping[str, YamlNode], name: str) -> bool | None:
    return scalars.flag(members[name]) if name in members else None
