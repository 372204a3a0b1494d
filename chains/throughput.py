"""Scales the times of visitors, so that a number of users makes a given number of events per second."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

from eventbus.catalog import Catalog
from eventbus.catalog.model import Arrivals, ClosedWorkload
from eventbus.catalog.model.visitors import MAX_SECONDS
from eventbus.chains.errors import InvalidSetting

ROUNDS, TOLERANCE = 8, 0.01
"""How often times are scaled at most, and the relative difference from the wanted rate that is good enough."""

Estimate = Callable[[Catalog, ClosedWorkload], float]
"""Events per second of some users in the long run."""


def scaled(
    catalog: Catalog, users: Arrivals | None, events_per_second: float, estimate: Estimate
) -> tuple[Catalog, ClosedWorkload]:
    """A catalog and users whose visitors make about so many events per second.

    All times of visitors are divided by one factor: on a page, between actions, of a session and between sessions. What
    clicks cause in the back end takes as long as before.

    Raises:
        InvalidSetting: there are no users or no visitors, or no factor gives this rate.
    """
    visitors = [chain.visitors for chain in catalog.weighted if chain.visitors]
    if not isinstance(users, ClosedWorkload) or not visitors:
        raise InvalidSetting("expected visitors and a number of users where there are events per second")
    if not all(site.behaviour.human_like_delays for site in visitors):
        raise InvalidSetting("expected no events per second where visitors do not wait (human_like_delays: false)")
    if not 0 < events_per_second < math.inf:
        raise InvalidSetting(f"expected events per second above 0, got {events_per_second}")
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
