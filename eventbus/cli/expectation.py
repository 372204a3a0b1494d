"""How many chains should begin when, and in whose hours of the day."""

from __future__ import annotations

from datetime import UTC, datetime, tzinfo
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

if TYPE_CHECKING:
    from eventbus.catalog.model import Arrivals
    from eventbus.chains import ChainGenerator
    from eventbus.chains.report.run import ExpectedChains


def expected_chains(generator: ChainGenerator) -> ExpectedChains:
    """Of the generator's last paced run, or else of its virtual one."""
    return lambda since, until: generator.expected(_instant(since), _instant(until))


def zone_of(model: Arrivals | None) -> tzinfo:
    """The time zone of the profile by which chains begin."""
    from eventbus.catalog.model import OpenWorkload, Profile

    if isinstance(model, OpenWorkload) and isinstance(model.rate, Profile):
        return ZoneInfo(model.rate.time_zone)
    return UTC


def _instant(time: int) -> datetime:
    return datetime.fromtimestamp(time / 1e6, UTC)
