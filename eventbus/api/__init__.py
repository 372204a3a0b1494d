"""The HTTP API: stored events, chains and statistics, live events, health and metrics."""

from eventbus.api.app import create_app
from eventbus.api.live.feed import LiveFeed
from eventbus.api.metrics import StatsSources
from eventbus.api.problems import ApiError, CannotListen, PortInUse
from eventbus.api.server import Server
from eventbus.api.store import EventPage, Store

__all__ = [
    "ApiError",
    "CannotListen",
    "EventPage",
    "LiveFeed",
    "PortInUse",
    "Server",
    "StatsSources",
    "Store",
    "create_app",
]
