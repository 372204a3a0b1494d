"""A situation to be generated, as one value: who comes, what they do, what goes wrong, and where the events go."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from eventbus.catalog.catalog import DATA, Catalog
from eventbus.catalog.errors import UnknownName, listed, suggestion
from eventbus.catalog.model.workload import Advanced, Arrivals, FaultSetting, Phase

SCENARIOS = DATA / "scenarios"


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
        from eventbus.catalog.reading.scenario import load  # noqa: PLC0415

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
