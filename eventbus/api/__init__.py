"""The HTTP door: stored events, chains and statistics, live events, health and figures."""

from eventbus.api.app import create_app
from eventbus.api.live.feed import LiveFeed
from eventbus.api.metrics import GeneratorNumbers, ProcessorStats, Providers
from eventbus.api.problems import ApiError, CannotListen, PortInUse
from eventbus.api.server import Server
from eventbus.api.store import Page, Store

__all__ = [
    "ApiError",
    "CannotListen",
    "GeneratorNumbers",
    "LiveFeed",
    "Page",
    "PortInUse",
    "ProcessorStats",
    "Providers",
    "Server",
    "Store",
    "create_app",
]
