"""Scales the times of visitors, so that a number of users makes a given number of events per second."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from eventbus.catalog import Catalog
from eventbus.catalog.model import ClosedWorkload
from eventbus.catalog.model.visitors import MAX_SECONDS
from eventbus.chains.errors import InvalidSetting

ROUNDS, TOLERANCE = 8, 0.01
"""How often times are scaled at most, and the relative difference from the wanted rate that is good enough."""

Estimate = Callable[[Catalog, ClosedWorkload], float]
"""Events per second of some users in the long run."""


def scaled(
    catalog: Catalog, users: ClosedWorkload, events_per_second: float, estimate: Estimate
) -> tuple[Catalog, ClosedWorkload]:
    """A catalog and users whose visitors make about so many events per second.

    All times of visitors are divided by one factor: on a page, between actions, of a session and between sessions. What
    clicks cause in the back end takes as long as before.

    Raises:
        InvalidSetting: no factor gives this rate.
    """
    factor, rate = 1.0, estimate(catalog, users)
    for _ in range(ROUNDS):
        factor *= events_per_second / rate
        longest = max(chain.visitors.behaviour.session_duration.high for chain in catalog.weighted if chain.visitors)
        if longest / factor > MAX_SECONDS:
            raise InvalidSetting(
                f"expected at least {events_per_second * longest / factor / MAX_SECONDS:.2g} events per second of "
                f"{users.users:,} users, got {events_per_second:g}: a session lasts {MAX_SECONDS:,} s at most"
            )
        faster = _faster(catalog, factor), users.faster(factor)
        rate = estimate(*faster)
        if abs(rate / events_per_second - 1) <= TOLERANCE:
            return faster
    raise InvalidSetting(
        f"expected at most about {rate:,.0f} events per second of {users.users:,} users, got {events_per_second:g}"
    )


def _faster(catalog: Catalog, factor: float) -> Catalog:
    """The catalog with all times of visitors divided by a factor."""
    chains = {
        name: replace(chain, visitors=chain.visitors.slowed(1 / factor)) if chain.visitors else chain
        for name, chain in catalog.chains.items()
    }
    return replace(catalog, chains=chains)
