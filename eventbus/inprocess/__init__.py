"""The bus in this process: a client of the broker that runs on the same event loop."""

from eventbus.inprocess.bus import InProcessBus

__all__ = ["InProcessBus"]
