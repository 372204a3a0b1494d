"""A bus in this process: topics, partitions and consumer groups without a broker."""

from eventbus.inprocess.bus import InProcessBus

__all__ = ["InProcessBus"]
