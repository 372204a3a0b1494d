"""Where a stream can go besides a bus, and several places at once."""

from eventbus.chains.sinks.analytics import analytics_body
from eventbus.chains.sinks.buses import BusSink
from eventbus.chains.sinks.deadletters import DeadLetters
from eventbus.chains.sinks.dialect import JsonDialect
from eventbus.chains.sinks.fanout import Channel, FanOut
from eventbus.chains.sinks.files import JsonlSink
from eventbus.chains.sinks.http import HttpSink
from eventbus.chains.sinks.openpanel import OpenPanelDialect
from eventbus.chains.sinks.retry import Retry
from eventbus.chains.sinks.sink import Sink, SinkStatistics
from eventbus.chains.sinks.stdout import StdoutSink

__all__ = [
    "BusSink",
    "Channel",
    "DeadLetters",
    "FanOut",
    "HttpSink",
    "JsonDialect",
    "JsonlSink",
    "OpenPanelDialect",
    "Retry",
    "Sink",
    "SinkStatistics",
    "StdoutSink",
    "analytics_body",
]
