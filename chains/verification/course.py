"""The catalog in the course of a run: as it is, and as each phase makes it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from eventbus.catalog import Catalog
from eventbus.catalog.model.workload import Phase

SECOND = 1_000_000


class Course:
    """Which catalog a chain is judged by.

    Args:
        phases: in the order of their moments.
        start: of the run, microseconds since the Unix epoch.
        doubt: by how much the run may have started earlier.
    """

    def __init__(self, catalog: Catalog, phases: Sequence[Phase] = (), start: int = 0, doubt: int = 0) -> None:
        #: The catalog before all phases, and in each of them.
        self.catalogs = [catalog, *(_changed(catalog, phase) for phase in phases)]
        #: What to add to a sentence about chains of each.
        self.marks = ["", *(f" from {phase.at:g} s on" for phase in phases)]
        self._moments = [start + round(phase.at * SECOND) for phase in phases]
        self._doubt = doubt

    def numbers(self, began: int) -> range:
        """Of the catalogs that may hold for a chain that began at a time, microseconds since the Unix epoch."""
        surely, perhaps = (sum(moment <= time for moment in self._moments) for time in (began, began + self._doubt))
        return range(surely, perhaps + 1)


def _changed(catalog: Catalog, phase: Phase) -> Catalog:
    return replace(catalog, chains={name: phase.of(chain) for name, chain in catalog.chains.items()})
