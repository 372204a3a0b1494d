"""A situation to be generated, as one value: who comes, what they do, what goes wrong, and where the events go."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from eventbus.catalog.arrivals import Arrivals
from eventbus.catalog.catalog import DATA, Catalog
from eventbus.catalog.errors import UnknownName
from eventbus.catalog.phases import Phase
from eventbus.catalog.words import listed, suggestion

SCENARIOS = DATA / "scenarios"

FAULTS: Mapping[str, Literal["time", "places"] | None] = {
    **dict.fromkeys(("drop", "missing-started", "tombstone", "poison", "corrupt", "schema")),
    **dict.fromkeys(("wrong-tenant", "orphan-causation")),
    **dict.fromkeys(("completed-before-started", "clock-skew", "changed-duplicate", "duplicate", "late"), "time"),
    "reorder": "places",
}
"""The kinds of faults, and what their bounds count."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultSetting:
    """A kind of fault, how often and how far it goes."""

    kind: str
    """One of `FAULTS`."""
    rate: float
    """Share of the events that it could strike."""
    low: int | None = None
    """Of how far it goes, microseconds or places; None: the kind's own."""
    high: int | None = None
    chains: tuple[str, ...] = ()
    """Only events of these; none: all."""
    event_types: tuple[str, ...] = ()
    fields: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Advanced:
    """How a scenario is carried out, as far as its file says so."""

    save_to_file: bool = False
    output_file: str = "events.jsonl"
    verbose: bool | None = None
    retry_on_failure: bool | None = None
    max_retries: int | None = None
    stats_interval: float | None = None
    """Seconds."""
    human_like_delays: bool | None = None
    """False: nobody waits; the catalog and the arrivals are so already."""


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """What a scenario file says, together with the catalog that it makes of another one."""

    name: str
    """Of a shipped one; else the file's."""
    catalog: Catalog
    """With the weights, journeys and behaviour of this scenario."""
    description: str = ""
    seed: int | None = None
    duration: float | None = None
    """Seconds in which chains begin; None: endless."""
    api_url: str | None = None
    """Where events go over HTTP."""
    arrivals: Arrivals | None = None
    """None: as the command says."""
    faults: tuple[FaultSetting, ...] = ()
    phases: tuple[Phase, ...] = ()
    advanced: Advanced = field(default_factory=Advanced)
    notes: tuple[str, ...] = ()
    """What is done otherwise than the file says, a sentence each."""

    @classmethod
    def load(cls, name: str | Path, overrides: Sequence[str] = (), *, catalog: Catalog | None = None) -> Scenario:
        """Read a scenario.

        Args:
            name: of a shipped scenario, or the path of a file.
            overrides: changes such as `simulation.num_users=50`, carried out before anything is checked.
            catalog: what the scenario's names stand for. None: the shipped catalog.

        Raises:
            UnknownName: no shipped scenario is called that, and there is no such file.
            InvalidScenario: with every mistake of the file and the overrides.
        """
        from eventbus.catalog.reading.scenario import load  # noqa: PLC0415 - the reader imports this module

        return load(name, overrides, Catalog.default() if catalog is None else catalog)

    @staticmethod
    def names() -> list[str]:
        """The scenarios that come with the package."""
        return sorted(path.stem for path in SCENARIOS.glob("*.yaml"))


def file_of(name: str) -> Path:
    """The file of a shipped scenario, or else the one that has this path.

    Raises:
        UnknownName: there is neither.
    """
    known = Scenario.names()
    if name in known:
        return SCENARIOS / f"{name}.yaml"
    if Path(name).is_file():
        return Path(name)
    raise UnknownName(f"expected a scenario ({listed(known)}) or a file, got {name!r}{suggestion(name, known)}")
