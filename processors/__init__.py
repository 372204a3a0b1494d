"""The processor: stores the events of a bus in PostgreSQL, and queries them."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from eventbus.processors.postgres import database
    from eventbus.processors.processor import Processor
    from eventbus.processors.store import EventStore

__all__ = ["EventStore", "Processor", "database"]

_MODULES = {"EventStore": "store", "Processor": "processor", "database": "postgres"}
"""The modules of the public names, imported on first access: importing Faust takes a second."""


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
    return value
