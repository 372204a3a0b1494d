"""The forms in which events are written: what stands between their values, and how values become bytes."""

from typing import Literal

from eventbus.chains.formats.cloudevents import CLOUDEVENTS, CLOUDEVENTS_BINARY
from eventbus.chains.formats.jsonevent import JSON
from eventbus.chains.formats.layout import Layout

Format = Literal["json", "cloudevents", "cloudevents-binary", "avro", "protobuf"]
"""What formats are called."""

__all__ = ["CLOUDEVENTS", "CLOUDEVENTS_BINARY", "JSON", "Format", "Layout"]
