"""What a scenario of the catalog means to a generator."""

from __future__ import annotations

from eventbus.catalog.model.workload import FaultSetting
from eventbus.catalog.scenario import Scenario
from eventbus.chains.faults.kinds import KINDS, Fault


def faults_of(scenario: Scenario) -> tuple[Fault, ...]:
    """The faults that a scenario wants injected."""
    return tuple(map(_fault, scenario.faults))


def _fault(setting: FaultSetting) -> Fault:
    return Fault(
        kind=setting.kind,
        rate=setting.rate,
        bounds=bounds_of(setting.kind, setting.low, setting.high),
        chains=setting.chains,
        event_types=setting.event_types,
        fields=setting.fields,
    )


def bounds_of(kind: str, low: int | None, high: int | None) -> tuple[int, int] | None:
    """Both bounds of a fault; one that is not given is the kind's own, as far as the other lets it."""
    if low is None and high is None:
        return None
    least, most = KINDS[kind].bounds
    if low is None:
        low = least if high is None else min(least, high)
    return low, max(most, low) if high is None else high
