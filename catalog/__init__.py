"""What exists on the bus: event types, chains, topics. Pure data and its description."""

from catalog.catalog import Catalog
from catalog.errors import CatalogError, InvalidCatalog, Mistake, UnknownName
from catalog.model import (
    Chain,
    Delay,
    EventType,
    Exponential,
    Fixed,
    LogNormal,
    PayloadField,
    State,
    Transition,
    Uniform,
    Variable,
)

__all__ = [
    "Catalog",
    "CatalogError",
    "Chain",
    "Delay",
    "EventType",
    "Exponential",
    "Fixed",
    "InvalidCatalog",
    "LogNormal",
    "Mistake",
    "PayloadField",
    "State",
    "Transition",
    "Uniform",
    "UnknownName",
    "Variable",
]
