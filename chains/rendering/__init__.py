"""From columns of integers to bytes: the formats of events."""

from typing import Literal

from eventbus.chains.rendering.fixed import Format
from eventbus.chains.rendering.json import CLOUDEVENTS, CLOUDEVENTS_BINARY, JSON

FormatName = Literal["json", "cloudevents", "cloudevents-binary", "avro", "protobuf"]
"""What formats are called."""

__all__ = ["CLOUDEVENTS", "CLOUDEVENTS_BINARY", "JSON", "Format"]
