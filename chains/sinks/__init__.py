"""Destinations of a stream: files, standard output, HTTP servers, buses, and several at once."""

from eventbus.chains.sinks.bodies import JsonDialect, OpenPanelDialect, all_types, analytics_body, is_visitor_event
from eventbus.chains.sinks.fanout import Channel, FanOut
from eventbus.chains.sinks.http import HttpSink, RetryPolicy
from eventbus.chains.sinks.letters import (
    DeadLetters,
    DeadLettersUnwritable,
    InvalidDeadLetters,
    Letter,
    Sending,
    read_letter,
)
from eventbus.chains.sinks.local import BusSink, JsonlSink, StdoutSink
from eventbus.chains.sinks.resend import Resend, ResendStatistics
from eventbus.chains.sinks.sink import Sink, SinkStatistics

__all__ = [
    "BusSink",
    "Channel",
    "DeadLetters",
    "DeadLettersUnwritable",
    "FanOut",
    "HttpSink",
    "InvalidDeadLetters",
    "JsonDialect",
    "JsonlSink",
    "Letter",
    "OpenPanelDialect",
    "Resend",
    "ResendStatistics",
    "RetryPolicy",
    "Sending",
    "Sink",
    "SinkStatistics",
    "StdoutSink",
    "all_types",
    "analytics_body",
    "is_visitor_event",
    "read_letter",
]
