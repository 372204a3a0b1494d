"""Delays as they are written in a catalog file."""

from __future__ import annotations

from typing import Any

from eventbus.catalog.model_delays import Delay, Exponential, Fixed, Uniform


def delay_document(delay: Delay) -> dict[str, Any]:
    """A delay as it is written in a catalog file."""
    if isinstance(delay, Fixed):
        return {"fixed": delay.value}
    if isinstance(delay, Uniform):
        return {"uniform": [delay.minimum, delay.maximum]}
    bounds = {"min": delay.minimum} | ({} if delay.maximum is None else {"max": delay.maximum})
    if isinstance(delay, Exponential):
        return {"exponential": {"mean": delay.mean, **bounds}}
    return {"lognormal": {"median": delay.median, "p95": delay.p95, **bounds}}
