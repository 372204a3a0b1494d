"""The messages that typed schemas have for events: one of a single type, or one for any of several."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import TYPE_CHECKING

from eventbus.catalog.exports.shapes import Struct, payload_shapes, symbols

if TYPE_CHECKING:
    from eventbus.catalog.catalog import Catalog

ENVELOPE = {
    "event_id": "UUID, version 7",
    "event_type": "",
    "timestamp": "Event time",
    "correlation_id": "Shared by the whole chain: the event_id of its first event",
    "causation_id": "The event_id of the event that caused this one; null on the first of a chain",
    "tenant_id": "",
    "namespace": "",
    "source": "Who emits it",
    "schema_version": "",
}
"""The fields before the payload, and what they mean."""


@dataclass(frozen=True)
class Payload:
    """The payload of one event type."""

    event_type: str
    name: str
    """`ExecutionStartedV1Payload`."""
    description: str
    shape: Struct

    @property
    def field(self) -> str:
        """What it is called among others: `execution_started_v1`."""
        words = re.findall("[A-Z][^A-Z]*|[^A-Z]+", self.name.removesuffix("Payload"))
        return "_".join(word.strip("_").lower() for word in words)


@dataclass(frozen=True)
class Message:
    """An envelope with a payload: of its one type, or one of several."""

    namespace: str
    """`omninode.agent`: as much as all its types have in common, two words at most."""
    name: str
    """`ExecutionStartedV1`; `Event` if there are several types."""
    payloads: tuple[Payload, ...]

    @property
    def full_name(self) -> str:
        return f"{self.namespace}.{self.name}"

    def branch(self, event_type: str) -> int | None:
        """The place of a type's payload among those of several types; None where it is the only one."""
        if len(self.payloads) == 1:
            return None
        return [payload.event_type for payload in self.payloads].index(event_type)


def message(catalog: Catalog, event_types: Sequence[str]) -> Message:
    """The message for events of some types, which keep their order.

    Raises:
        UnknownName: the catalog has no such event type.
    """
    split = [catalog.event_type(name).name.split(".") for name in event_types]
    same = takewhile(lambda words: len(set(words)) == 1, zip(*split, strict=False))
    shared = [word for word, *_ in same][:2]
    names = symbols(f"{camel(words[len(shared) :])}Payload" for words in split)
    shapes = payload_shapes(catalog)
    payloads = tuple(
        Payload(event_type, name, catalog.event_type(event_type).description, shapes[event_type])
        for event_type, name in zip(event_types, names, strict=True)
    )
    name = payloads[0].name.removesuffix("Payload") if len(payloads) == 1 else "Event"
    return Message(".".join(word.replace("-", "_") for word in shared) or "events", name, payloads)


def camel(words: Sequence[str]) -> str:
    """`execution`, `started-late`, `v1` → `ExecutionStartedLateV1`."""
    return "".join(part[:1].upper() + part[1:] for word in words for part in re.split("[_-]", word))
