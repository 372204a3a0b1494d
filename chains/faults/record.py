"""The first record of a ledger: everything that makes its run repeatable."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from typing import Any, Literal

from eventbus.catalog import Catalog
from eventbus.catalog.catalog import CatalogOrigin
from eventbus.catalog.model import Arrivals, Fault, Phase, Tenants
from eventbus.catalog.model.workload import AtEnd
from eventbus.chains.errors import InvalidLedger
from eventbus.version import package_version

FORMAT = 1


@dataclass(frozen=True, kw_only=True)
class CatalogRecord(CatalogOrigin):
    """Which catalog a run used, and how it was given."""

    sha256: str
    """`Catalog.digest`."""

    @classmethod
    def of(cls, catalog: Catalog) -> CatalogRecord:
        return cls(**vars(catalog.origin), sha256=catalog.digest)


@dataclass(frozen=True, kw_only=True)
class RunRecord:
    """What a run was made from; the arguments of `ChainGenerator`, `blocks` and `run` have the same names."""

    version: str
    """Of this package."""
    seed: int
    start: datetime
    catalog: CatalogRecord
    arrivals: Arrivals | None = None
    rate: float | None = None
    """Without `arrivals`."""
    interval: float | None = None
    """Without `arrivals` and `rate`."""
    initial_chains: int | None = None
    chains: int | None = None
    duration: float | None = None
    """Without `chains` and `duration`, the totals say how far the run came."""
    at_end: AtEnd = "finish"
    events_per_second: float | None = None
    """To which the times of visitors were scaled."""
    tenant_id: str
    tenants: Tenants | None = None
    namespace: str
    phases: tuple[Phase, ...] = ()
    faults: tuple[Fault, ...] = ()
    speed: float | Literal["max"] | None = None
    """Of a paced run; it changes no event."""
    max_lag: float | None = None
    """Of a paced run, which may have left out chains."""

    @classmethod
    def of(cls, catalog: Catalog, *, speed: float | Literal["max"] | None = None, **settings: Any) -> RunRecord:
        """The record of a run with this version of the package."""
        shown_speed = "max" if speed == math.inf else speed
        return cls(version=package_version(), catalog=CatalogRecord.of(catalog), speed=shown_speed, **settings)

    @classmethod
    def read(cls, record: Mapping[str, Any]) -> RunRecord:
        """A record of a ledger's first line.

        Raises:
            InvalidLedger: it lacks what the run needs to be repeated, or has values of other types.
        """
        from pydantic import TypeAdapter, ValidationError  # noqa: PLC0415 - slow to import

        known = {field.name for field in fields(cls)}
        try:
            return TypeAdapter(cls).validate_python({name: record[name] for name in known & record.keys()})
        except ValidationError as error:
            problems = [f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}" for problem in error.errors()]
            raise InvalidLedger(f"the ledger's first line does not name its run: {'; '.join(problems)}") from error

    @property
    def run(self) -> dict[str, Any]:
        """The fields that say when chains begin, and how far the run goes."""
        names = ("start", "arrivals", "rate", "interval", "initial_chains", "chains", "duration", "speed", "max_lag")
        return {name: getattr(self, name) for name in names}

    def to_dict(self) -> dict[str, Any]:
        """The fields that say something."""
        return {name: value for name, value in asdict(self).items() if value is not None and value != ()}
