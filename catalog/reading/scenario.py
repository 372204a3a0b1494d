"""Reads scenario files: the settings, the changes to the catalog, and all mistakes together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from eventbus.catalog.errors import InvalidScenario, Mistake, join_names
from eventbus.catalog.model import (
    FAULT_KINDS,
    MAX_BOUND,
    Advanced,
    Arrivals,
    ClosedWorkload,
    Fault,
    Fixed,
    OpenWorkload,
    Phase,
    ScenarioSettings,
    Sections,
    Spacing,
    complete_bounds,
)
from eventbus.catalog.model.workload import AT_END, AtEnd
from eventbus.catalog.reading.arrivals import read_arrivals, read_checked_profile
from eventbus.catalog.reading.document import Members, YamlNode, read_document
from eventbus.catalog.reading.overrides import nest, override
from eventbus.catalog.reading.scalars import (
    coerce_duration,
    coerce_factor,
    coerce_flag,
    coerce_integer,
    coerce_number,
    is_null,
    read_names,
)
from eventbus.catalog.reading.scenario_visitors import (
    BEHAVIOUR,
    apply_visitor_sections,
    is_about_visitors,
    read_probabilities,
)
from eventbus.catalog.validation.workload import MAX_USERS

SECTIONS = (
    *("name", "description", "seed", "simulation", "event_probabilities", "user_behavior", "advanced"),
    *("arrivals", "profile", "chains", "journeys", "faults", "phases"),
)
SIMULATION = ("num_users", "duration_seconds", "at_end", "events_per_second", "api_url")
ADVANCED = (
    *("save_to_file", "output_file", "verbose", "retry_on_failure", "max_retries", "stats_interval"),
    "human_like_delays",
)
SECTION_OF = {
    **dict.fromkeys(SIMULATION, "simulation"),
    **dict.fromkeys(BEHAVIOUR, "user_behavior"),
    **dict.fromkeys(ADVANCED, "advanced"),
}
"""The section of each key that may also stand at the top level of a file."""
MAX_EVENTS_PER_SECOND = 10_000_000
MAX_RAMP_UP = 60.0
"""Maximum ramp-up time of users, in seconds."""
USER_INTERVAL = 0.5
"""Seconds between two users during ramp-up, if there are few."""
FAULT = ("kind", "rate", "min", "max", "chain", "type", "field")
PHASE = ("at", "failed", "delay", "chains")
MICROSECONDS = 1_000_000


class Simulation(NamedTuple):
    """The section `simulation`."""

    users: int | None
    duration: float | None
    at_end: AtEnd | None
    events_per_second: float | None
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
    """The settings in a document, and the catalog with its changes; what is wrong is added to its mistakes."""
    members = _present(nest(document, SECTION_OF), (*SECTIONS, *SECTION_OF))
    simulation = _simulation(_present(members["simulation"], SIMULATION))
    output = _present(members["advanced"], ADVANCED)
    advanced = _advanced(output)
    human = advanced.human_like_delays is not False
    if simulation.events_per_second is not None and not human:
        output["human_like_delays"].complain("expected true where events_per_second scales the delays, got false")
    shares = read_probabilities(members["event_probabilities"])
    users = simulation.users is not None
    changed, notes = apply_visitor_sections(members, catalog, shares=shares, human=human, users=users)
    settings = ScenarioSettings(
        description=members["description"].text() or "",
        seed=coerce_integer(members["seed"]),
        duration=simulation.duration,
        events_per_second=simulation.events_per_second,
        at_end=simulation.at_end or ("end" if is_about_visitors(members, users=users) else "finish"),
        api_url=simulation.api_url,
        arrivals=_arrivals(members, simulation.users, human=human),
        faults=read_faults(members["faults"], catalog),
        phases=read_phases(members["phases"], catalog),
        advanced=advanced,
        notes=(*notes, *_unused_file(output, advanced)),
    )
    return settings, changed


def _present(node: YamlNode, allowed: tuple[str, ...]) -> Members:
    """The members that have a value."""
    members = node.members(allowed)
    for name in [name for name, member in members.items() if is_null(member)]:
        del members[name]
    return members


def _simulation(members: Members) -> Simulation:
    users = coerce_integer(members["num_users"])
    duration = coerce_duration(members["duration_seconds"])
    at_end = members["at_end"].one_of(AT_END) if "at_end" in members else None
    url = members["api_url"].text()
    if users is not None and not 1 <= users <= MAX_USERS:
        members["num_users"].complain(f"expected 1 to {MAX_USERS:,} users, got {users:,}")
    if duration is not None and duration < 0:
        members["duration_seconds"].complain(f"expected 0 (endless) or more seconds, got {duration:g}")
    if url and not url.startswith(("http://", "https://")):
        members["api_url"].complain(f"expected an address that begins with http:// or https://, got {url!r}")
    return Simulation(users, duration or None, at_end, _events_per_second(members, users), url)


def _events_per_second(members: Members, users: int | None) -> float | None:
    node = members["events_per_second"]
    rate = coerce_number(node)
    if rate is None:
        return None
    if not 0 < rate <= MAX_EVENTS_PER_SECOND:
        node.complain(f"expected above 0 to {MAX_EVENTS_PER_SECOND:,} events per second, got {rate:g}")
    if users is None:
        node.complain("expected num_users as well: the times of that many users are scaled to this rate")
    return rate


def _arrivals(members: Members, users: int | None, *, human: bool) -> Arrivals | None:
    """The section `arrivals` or `profile`, or a number of users: with ramp-up and think time if they are human."""
    sections = [name for name in ("arrivals", "profile") if name in members]
    sources = [*sections, *(["simulation.num_users"] if users is not None else [])]
    if len(sources) > 1:
        members[sections[0]].complain(f"expected only one of {join_names(sources)} to define arrivals")
    hourly = None
    if "profile" in members:
        hourly = OpenWorkload(rate=read_checked_profile(members["profile"]), spacing=Spacing(name="even"))
    if "arrivals" in members:
        return read_arrivals(members["arrivals"])
    if hourly is not None or users is None:
        return hourly
    if human:
        return ClosedWorkload(users=users, ramp_up=min(MAX_RAMP_UP, users * USER_INTERVAL))
    return ClosedWorkload(users=users, think=Fixed(value=0))


def _advanced(members: Members) -> Advanced:
    retries = coerce_integer(members["max_retries"])
    interval = coerce_duration(members["stats_interval"])
    if retries is not None and not 0 <= retries <= 100:
        members["max_retries"].complain(f"expected 0 to 100 retries, got {retries}")
    if interval is not None and interval < 0:
        members["stats_interval"].complain(f"expected 0 (none) or more seconds, got {interval:g}")
    return Advanced(
        save_to_file=bool(coerce_flag(members["save_to_file"])),
        output_file=members["output_file"].text() or Advanced().output_file,
        verbose=coerce_flag(members["verbose"]),
        retry_on_failure=coerce_flag(members["retry_on_failure"]),
        max_retries=retries,
        stats_interval=interval,
        human_like_delays=coerce_flag(members["human_like_delays"]),
    )


def _unused_file(members: Members, advanced: Advanced) -> Iterator[str]:
    if "output_file" in members and not advanced.save_to_file:
        yield "advanced.output_file has no effect without advanced.save_to_file: true"


# Faults and phases.


def read_faults(node: YamlNode, catalog: Sections) -> tuple[Fault, ...]:
    """A list of `{kind: late, rate: 0.01, max: 10s, chain: NAME}`."""
    return tuple(_fault(item, catalog) for item in node.items())


def read_phases(node: YamlNode, catalog: Sections) -> tuple[Phase, ...]:
    """A list of `{at: 2m, failed: 6, delay: 3, chains: [NAME]}`."""
    items, mistakes = node.items(), len(node.mistakes)
    phases = tuple(_phase(item, catalog) for item in items)
    for item, (previous, phase) in zip(items[1:], pairwise(phases), strict=False):
        if phase.at <= previous.at and len(node.mistakes) == mistakes:
            item.complain(f"expected a moment after that of the previous phase, {previous.at:g} s, got {phase.at:g} s")
    return phases


def _fault(node: YamlNode, catalog: Sections) -> Fault:
    members = node.members(FAULT, required=("kind", "rate"))
    kind = members["kind"].one_of(tuple(FAULT_KINDS)) if "kind" in members else None
    rate = coerce_factor(members["rate"])
    if rate > 1:
        members["rate"].complain(f"expected a rate of 0 to 1, got {rate:g}")
    low, high = (_bound(members[name], kind) if kind and name in members else None for name in ("min", "max"))
    if low is not None and high is not None and high < low:
        members["max"].complain("expected a max that is not below min")
    if kind and not FAULT_KINDS[kind].has_fields and "field" in members:
        members["field"].complain(f"the fault {kind} has no fields")
    return Fault(
        kind=kind or "drop",
        rate=rate,
        bounds=complete_bounds(kind, low, high) if kind else None,
        chains=read_names(members["chain"], catalog.chains, "chain"),
        event_types=read_names(members["type"], catalog.events, "event type"),
        fields=_texts(members["field"]) if "field" in members else (),
    )


def _bound(node: YamlNode, kind: str) -> int | None:
    """A bound in microseconds, or in places of the stream."""
    unit = FAULT_KINDS[kind].unit
    if unit is None:
        node.complain(f"the fault {kind} has no bounds")
        return None
    number = coerce_duration(node) if unit == "time" else coerce_integer(node)
    if number is None:
        return None
    bound = round(number * MICROSECONDS) if unit == "time" else int(number)
    if not 0 <= bound <= MAX_BOUND:
        node.complain(f"expected a bound of 0 to {MAX_BOUND:,}, got {number:g}")
    return bound


def _texts(node: YamlNode) -> tuple[str, ...]:
    return tuple(item.text() or "" for item in (node.items() if node.is_list else [node]))


def _phase(node: YamlNode, catalog: Sections) -> Phase:
    members = node.members(PHASE, required=("at",))
    at = coerce_duration(members["at"])
    if at is not None and at < 0:
        members["at"].complain(f"expected 0 s or later, got {at:g}")
    delay = coerce_factor(members["delay"])
    if delay == 0:
        members["delay"].complain("expected a factor above 0, got 0")
    return Phase(
        at=at or 0.0,
        failed=coerce_factor(members["failed"]),
        delay=delay,
        chains=read_names(members["chains"], catalog.chains, "chain"),
    )
