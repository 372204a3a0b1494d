"""Events as objects, made from columns: neither their text nor its decoding is needed.

The events of one emitter are made together, by a comprehension that is compiled for it: constants are part of its code,
and what varies comes from columns of values.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial
from typing import Any

import numpy as np
import orjson

from eventbus.catalog import PayloadField
from eventbus.catalog.model.draws import FilledText, Placeholder
from eventbus.chains.randomness import Integers, chain_keys
from eventbus.chains.rendering.block import MutableEvent
from eventbus.chains.rendering.columns import Rows, identifiers
from eventbus.chains.rendering.draws import EventContext, Numbers
from eventbus.chains.rendering.fixed import Envelope
from eventbus.chains.rendering.json import ENCODER, PLAIN_TEXT
from eventbus.chains.rendering.placeholders import PayloadCompiler, PlaceholderField, is_listed, shown_numbers
from eventbus.chains.rendering.render import Emitter
from eventbus.chains.table import EventTable
from eventbus.event import EPOCH, Event
from eventbus.garbage import collection_paused


class EventBuilder:
    """Makes the events of a list of emitters as objects.

    Args:
        emitters: the emitters, by emitter id.
        root: random key of the run.
        envelope: the fields that all events share.
    """

    def __init__(self, emitters: list[Emitter], *, root: int, envelope: Envelope) -> None:
        self._emitters = emitters
        self._root = root
        self._envelope = envelope
        self._constructors: dict[int, EventConstructor] = {}

    @collection_paused()
    def events(self, table: EventTable) -> list[Event]:
        """The events of a table, in its order."""
        order = table.emitter.argsort(kind="stable")
        ordered = table.take(order)
        context = EventContext.of(ordered, chain_keys(self._root, ordered.chain))
        ids = identifiers(ordered, context.keys)
        event_ids, times = texts(ids.event), datetimes(ordered.time)
        tenancy = self._envelope.tenancy
        tenants = [] if tenancy is None else texts(tenancy.rows(context.keys, ordered.began))
        events: list[Event] = []
        begin = 0
        for number, end in enumerate(np.bincount(table.emitter, minlength=len(self._emitters)).cumsum().tolist()):
            if end > begin:
                rows = slice(begin, end)
                correlation_ids = causation_ids = event_ids[rows]
                if not self._emitters[number].is_root:
                    correlation_ids = causation_ids = texts(ids.correlation[rows])
                if ordered.cause[rows].any():
                    causation_ids = texts(ids.causation[rows])
                heads: list[list[Any]] = [event_ids[rows], times[rows], correlation_ids, causation_ids, tenants[rows]]
                events += self._constructor(number).events(heads, context.part(begin, end))
            begin = end
        return list(map(events.__getitem__, order.argsort().tolist()))

    def _constructor(self, number: int) -> EventConstructor:
        if number not in self._constructors:
            self._constructors[number] = EventConstructor(self._emitters[number], self._envelope)
        return self._constructors[number]


def texts(rows: Rows) -> list[str]:
    """Rows of ASCII as texts."""
    text, width = rows.tobytes().decode("ascii"), rows.dtype.itemsize
    return [text[at : at + width] for at in range(0, len(text), width)]


def datetimes(times: Integers) -> list[datetime]:
    """Times in microseconds since the Unix epoch as datetimes in UTC."""
    return list(map(EPOCH.__add__, times.view("m8[us]").tolist()))


class EventConstructor:
    """Makes the events of one emitter."""

    def __init__(self, emitter: Emitter, envelope: Envelope) -> None:
        self._draws = emitter.draws
        event, payload = emitter.payload.event, PayloadExpression(emitter.payload)
        arguments = (
            "event_id",
            repr(event.name),
            "timestamp",
            "correlation_id",
            "None" if emitter.is_root else "causation_id",
            repr(envelope.tenant_id) if envelope.tenancy is None else "tenant_id",
            repr(envelope.namespace),
            repr(event.source),
            repr(event.schema_version),
            payload.display,
        )
        heads = ("event_id", "timestamp", "correlation_id", "causation_id")
        self._heads = heads if envelope.tenancy is None else (*heads, "tenant_id")
        self._columns = payload.columns
        names = (*self._heads, *(f"value{number}" for number in range(len(self._columns))))
        source = f"lambda *columns: [new({', '.join(arguments)}) for {', '.join(names)} in zip(*columns)]"
        self._construct: Callable[..., list[Any]] = eval(source, {"new": MutableEvent, "loads": orjson.loads})

    def events(self, heads: Sequence[list[Any]], context: EventContext) -> list[Event]:
        """The events of a group.

        Args:
            heads: columns of id, timestamp, correlation id, causation id and, where there are several, tenant.
        """
        numbers = self._draws.numbers(context)
        events = self._construct(*heads[: len(self._heads)], *(column(numbers) for column in self._columns))
        for event in events:
            event.__class__ = Event  # it has the same slots
        return events


class PayloadExpression:
    """The payload of an emitter's events as a Python expression, in which `value0`, `value1`, … vary."""

    def __init__(self, payload: PayloadCompiler) -> None:
        self._payload = payload
        #: The values of each of them, by the numbers of the draws.
        self.columns: list[Callable[[Numbers], list[Any]]] = []
        self.display = self._object(payload.event.payload, ())

    def _object(self, fields: tuple[PayloadField, ...], path: tuple[str, ...]) -> str:
        members = (f"{field.name!r}: {self._value(field, (*path, field.name))}" for field in fields)
        return f"{{{', '.join(members)}}}"

    def _value(self, field: PayloadField, path: tuple[str, ...]) -> str:
        if field.fields is not None:
            return self._object(field.fields, path)
        placeholder = self._payload.placeholder(field, path)
        if isinstance(placeholder, FilledText):
            return self._text(placeholder)
        if placeholder.is_constant:
            return repr(orjson.loads(orjson.dumps(placeholder.constant_value)))
        name = f"value{len(self.columns)}"
        if placeholder.values is None and placeholder.template is None:
            self.columns.append(partial(_numbers, placeholder))
            return name
        if not is_listed(placeholder):
            self.columns.append(partial(_templates, placeholder))
            return name
        values = [orjson.loads(text) for text in PlaceholderField(placeholder, ENCODER).texts]
        is_shared = not any(isinstance(value, list | dict) for value in values)
        shown = np.empty(len(values), object)
        shown[:] = values if is_shared else [orjson.dumps(value) for value in values]
        self.columns.append(lambda numbers: shown.take(numbers[placeholder.draw]).tolist())
        return name if is_shared else f"loads({name})"  # each event has its own

    def _text(self, filled: FilledText) -> str:
        if not filled.fields and len(filled.texts) == 1:
            return repr("".join(map(str, filled.texts[0])))
        self.columns.append(partial(_filled, filled))
        return f"value{len(self.columns) - 1}"


def _numbers(placeholder: Placeholder, numbers: Numbers) -> list[Any]:
    values: list[Any] = shown_numbers(placeholder, numbers[placeholder.draw]).tolist()
    return values


def _filled(filled: FilledText, numbers: Numbers) -> list[Any]:
    fields = [_texts(placeholder, numbers) for placeholder in filled.fields]
    texts = numbers[filled.draw].tolist() if len(filled.texts) > 1 else [0] * len(fields[0])
    return [
        "".join(part if isinstance(part, str) else fields[part][event] for part in filled.texts[text])
        for event, text in enumerate(texts)
    ]


def _texts(placeholder: Placeholder, numbers: Numbers) -> list[str]:
    """The values of a placeholder as they stand within a text."""
    if not is_listed(placeholder):
        return _templates(placeholder, numbers)
    texts = np.array([text.decode() for text in PlaceholderField(placeholder, PLAIN_TEXT).texts], object)
    shown: list[str] = texts.take(numbers[placeholder.draw]).tolist()
    return shown


def _templates(placeholder: Placeholder, numbers: Numbers) -> list[Any]:
    before, after = placeholder.around
    encoded = ENCODER.texts(shown_numbers(placeholder, numbers[placeholder.draw]))
    return [f"{before}{number.decode()}{after}" for number in encoded]
