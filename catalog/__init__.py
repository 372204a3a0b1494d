"""The catalog: what exists on the bus. Event types, chains, lists and topics, as values and as documents."""

from eventbus.catalog.catalog import Catalog
from eventbus.catalog.errors import (
    CatalogError,
    InvalidCatalog,
    InvalidScenario,
    Mistake,
    Problem,
    TooManyPaths,
    UnknownName,
)
from eventbus.catalog.graph.conformance import Conformance, Role
from eventbus.catalog.model import (
    Chain,
    Delay,
    EventType,
    Exponential,
    Fixed,
    LogNormal,
    PayloadField,
    Phase,
    State,
    Transition,
    Uniform,
    Variable,
)
from eventbus.catalog.scenario import Scenario

__all__ = [
    "Catalog",
    "CatalogError",
    "Chain",
    "Conformance",
    "Delay",
    "EventType",
    "Exponential",
    "Fixed",
    "InvalidCatalog",
    "InvalidScenario",
    "LogNormal",
    "Mistake",
    "PayloadField",
    "Phase",
    "Problem",
    "Role",
    "Scenario",
    "State",
    "TooManyPaths",
    "Transition",
    "Uniform",
    "UnknownName",
    "Variable",
]
