"""The forms in which events are written: what stands between their values, and how values become bytes."""

from typing import Literal

from eventbus.chains.rendering.fixed import Format
from eventbus.chains.rendering.json import CLOUDEVENTS, CLOUDEVENTS_BINARY, JSON

FormatName = Literal["json", "cloudevents", "cloudevents-binary", "avro", "protobuf"]
"""What formats are called."""

__all__ = ["CLOUDEVENTS", "CLOUDEVENTS_BINARY", "JSON", "Format"]
