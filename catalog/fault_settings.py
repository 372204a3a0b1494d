"""Kinds of faults and how often each happens."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

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
