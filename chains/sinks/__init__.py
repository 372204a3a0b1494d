"""Where a stream can go besides a bus, and several places at once."""

from chains.sinks.analytics import analytics_body
from chains.sinks.buses import BusSink
from chains.sinks.deadletters import DeadLetters
from chains.sinks.dialect import JsonDialect
from chains.sinks.fanout import Channel, FanOut
from chains.sinks.files import JsonlSink
from chains.sinks.http import HttpSink
from chains.sinks.openpanel import OpenPanelDialect
from chains.sinks.retry import Retry
from chains.sinks.sink import Sink, SinkStatistics
from chains.sinks.stdout import StdoutSink

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
