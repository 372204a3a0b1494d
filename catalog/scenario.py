"""Scenarios: a catalog, arrivals, faults, phases and output settings in one file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path

from eventbus.catalog.catalog import DATA, Catalog, CatalogOrigin
from eventbus.catalog.errors import UnknownName, did_you_mean, join_names
from eventbus.catalog.model import ScenarioSettings, Sections
from eventbus.catalog.reading.scenario import load_scenario

SCENARIOS = DATA / "scenarios"


@dataclass(frozen=True, kw_only=True)
class Scenario(ScenarioSettings):
    """The settings in a scenario file, with the catalog that its changes produce."""

    name: str
    """The name of the file without its suffix."""
    catalog: Catalog
    """With the weights, journeys and behaviour of the scenario."""

    @classmethod
    def load(cls, name: str | Path, overrides: Sequence[str] = (), *, catalog: Catalog | None = None) -> Scenario:
        """Load a scenario.

        Args:
            name: the name of a shipped scenario, or the path of a file.
            overrides: changes such as `simulation.num_users=50`, applied before validation.
            catalog: the catalog that the scenario refers to and changes; None: the shipped one.

        Raises:
            UnknownName: there is neither a shipped scenario nor a file of this name.
            InvalidScenario: with every mistake of the file and the overrides.
        """
        path = file_of(str(name))
        base = Catalog.default() if catalog is None else catalog
        settings, sections = load_scenario(path, overrides, base)
        origin = replace(base.origin, scenario=str(name), settings=tuple(overrides))
        changed = {field.name: getattr(sections, field.name) for field in fields(Sections)}
        return cls(name=path.stem, catalog=Catalog(**changed, origin=origin), **vars(settings))

    @staticmethod
    def names() -> list[str]:
        """The names of the shipped scenarios."""
        return sorted(path.stem for path in SCENARIOS.glob("*.yaml"))


def load_origin(origin: CatalogOrigin) -> Catalog:
    """The catalog that was given like this, loaded again.

    Raises:
        CatalogError: a file is missing, or has mistakes; or there is no such scenario or chain any more.
    """
    is_shipped = origin.extend and not origin.paths
    catalog = Catalog.default() if is_shipped else Catalog.load(*origin.paths, extend=origin.extend)
    if origin.scenario is not None:
        catalog = Scenario.load(origin.scenario, origin.settings, catalog=catalog).catalog
    return catalog.only(*origin.chains) if origin.chains else catalog


def file_of(name: str) -> Path:
    """The file of a shipped scenario, or the file at a path.

    Raises:
        UnknownName: there is neither.
    """
    shipped = Scenario.names()
    if name in shipped:
        return SCENARIOS / f"{name}.yaml"
    if Path(name).is_file():
        return Path(name)
    raise UnknownName(
        f"expected a scenario ({join_names(shipped)}) or a file, got {name!r}{did_you_mean(name, shipped)}"
    )
