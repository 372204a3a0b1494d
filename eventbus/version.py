"""The version of this package."""

from __future__ import annotations

from functools import cache
from importlib.metadata import version


@cache
def package_version() -> str:
    """As it is installed."""
    return version("eventbus-mock")
