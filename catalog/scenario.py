"""A situation to be generated, as one value: who comes, what they do, what goes wrong, and where the events go."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from eventbus.catalog.catalog import DATA, Catalog
from eventbus.catalog.errors import UnknownName, did_you_mean, join_names
from eventbus.catalog.model import ScenarioSettings
from eventbus.catalog.reading.scenario import load_scenario

SCENARIOS = DATA / "scenarios"


@dataclass(frozen=True, kw_only=True)
class Scenario(ScenarioSettings):
    """What a scenario file says, together with the catalog that it makes of another one."""

    name: str
    """Of a shipped one; else the file's."""
    catalog: Catalog
    """With the weights, journeys and behaviour of this scenario."""

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
        path = file_of(str(name))
        settings, sections = load_scenario(path, overrides, Catalog.default() if catalog is None else catalog)
        return cls(name=path.stem, catalog=Catalog(**vars(sections)), **vars(settings))

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
    raise UnknownName(f"expected a scenario ({join_names(known)}) or a file, got {name!r}{did_you_mean(name, known)}")
