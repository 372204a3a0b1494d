"""The generator again, slow and obvious: one chain at a time, one event at a time, dicts, and a sort at the end.

It shares no code with the package `chains`, so that equal bytes mean something.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from fractions import Fraction
from typing import Any

import orjson

from eventbus.catalog import Catalog, Chain, Exponential, PayloadField
from eventbus.catalog.model import every_field
from eventbus.catalog.sources import (
    AttemptNumber,
    Choices,
    ComputedNumber,
    CounterValue,
    ElapsedTime,
    FixedValue,
    ListPick,
    NumberRange,
    Reference,
    TextTemplate,
    VariableValue,
)
from eventbus.event import format_timestamp, microseconds, uuid7
from tests.unit.chains.draws import GOLDEN, MASK, Randomness, below, drawn_delay, mix, purpose
from tests.unit.chains.story import Step, Story
from tests.unit.chains.variables import among, drawn, matching
from tests.unit.chains.variables import value as variable_value


def reference(
    catalog: Catalog, *, seed: int, chains: int, rate: float, start: datetime = datetime(2026, 1, 1, tzinfo=UTC)
) -> list[bytes]:
    """The lines that `ChainGenerator` has to make."""
    weighted = [chain for chain in catalog.chains.values() if chain.weight > 0]
    arrival, found = microseconds(start) * 1000, []
    root = purpose("seed", str(seed))
    for index in range(chains):
        random = Randomness(mix((root + index * GOLDEN) & MASK), root, index)
        arrival += drawn_delay(Exponential(mean=1e9 / rate), random.word("arrival"), unit=1)
        chain = weighted[random.among([c.weight for c in weighted], "chain")]
        found += [
            (step.time, index, step.number, line) for step, line in one_chain(catalog, chain, random, arrival // 1000)
        ]
    return [line for *_, line in sorted(found)]


def one_chain(catalog: Catalog, chain: Chain, random: Randomness, began: int) -> Iterator[tuple[Step, bytes]]:
    ids: dict[int | None, str | None] = {None: None}
    for step in Story(catalog, random).told(chain, began):
        event = catalog.events[step.chain.states[step.state].emits]
        ids[step.number] = uuid7(step.time, random.word("id", step=step.number) >> 2)
        yield (
            step,
            orjson.dumps(
                {
                    "event_id": ids[step.number],
                    "event_type": event.name,
                    "timestamp": timestamp(step.time),
                    "correlation_id": ids[0],
                    "causation_id": ids[step.cause],
                    "tenant_id": "default-tenant",
                    "namespace": "development",
                    "source": event.source,
                    "schema_version": event.schema_version,
                    "payload": Payload(catalog, step.chain, random, step.number, step, event.payload).whole(),
                }
            ),
        )


@dataclass(frozen=True)
class Payload:
    """The payload of one event."""

    catalog: Catalog
    chain: Chain
    random: Randomness
    number: int
    step: Step
    fields: tuple[PayloadField, ...]

    def whole(self) -> dict[str, Any]:
        return self.object(self.fields)

    def object(self, fields: tuple[PayloadField, ...], *path: str) -> dict[str, Any]:
        return {field.name: self.value(field, *path, field.name) for field in fields}

    def value(self, field: PayloadField, *path: str) -> Any:  # noqa: PLR0911, PLR0912 - one for each source
        here = self.chain.name, self.step.state
        if field.fields is not None:
            return self.object(field.fields, *path)
        match field.source:
            case ElapsedTime():
                return self.step.delay // 1000
            case AttemptNumber():
                return self.step.retries + 1
            case VariableValue(reference, template):
                shown = variable_value(self.catalog, self.chain, self.random, reference, self.step.trigger)
                return template.format(shown) if template else shown
            case ListPick(reference, _, True):
                name, _, attribute = reference.partition(".")
                items, chain = self.catalog.lists[name], self.chain.name
                strides = [stride for stride in range(1, len(items) + 1) if math.gcd(stride, len(items)) == 1]
                begin = below(self.random.word("order", chain, name, "start"), len(items))
                stride = strides[below(self.random.word("order", chain, name, "stride"), len(strides))]
                assert not self.step.trigger, "the number of the event within its chain is not known"
                item = items[(begin + self.number * stride) % len(items)]
                return item[attribute] if attribute else item
            case ListPick(reference, where):
                name, _, attribute = reference.partition(".")
                items, word = self.catalog.lists[name], self.random.word("pick", *here, name, step=self.number)
                drawn_from = (self.catalog, self.chain, self.random, name, where, self.step.trigger)
                item = items[among(matching(*drawn_from), word) if where else below(word, len(items))]
                return item[attribute] if attribute else item
            case Choices(choices):
                return choices[below(self.random.word("field", *here, *path, step=self.number), len(choices))]
            case NumberRange(Reference(), _) | NumberRange(_, Reference()):
                return self.between(field, path)
            case NumberRange(int() | float() as minimum, int() | float() as maximum, decimals):
                scale = 10**decimals if field.type == "number" else 1
                low, high = round(minimum * scale), round(maximum * scale)
                units = low + below(self.random.word("field", *here, *path, step=self.number), high - low + 1)
                return units / scale if field.type == "number" else units
            case ComputedNumber():
                return self.computed(field, field.source, path)
            case CounterValue():
                return self.counter(field.source)
            case TextTemplate(source):
                text = self.value(replace(field, source=source), *path)
                return re.sub(r"\{(\w[\w.]*)\}", lambda match: in_text(self.named(match[1])), text)
            case FixedValue(value):
                return value
        raise AssertionError(f"the reference does not know {field.source}")

    def named(self, name: str) -> Any:
        """The value of the field with a dotted path."""
        *objects, last = name.split(".")
        fields = self.fields
        for each in objects:
            fields = next(field.fields or () for field in fields if field.name == each)
        return self.value(next(field for field in fields if field.name == last), *objects, last)

    def between(self, field: PayloadField, path: tuple[str, ...]) -> Any:
        source = field.source
        assert isinstance(source, NumberRange)
        assert source.minimum is not None
        assert source.maximum is not None
        bounds = source.minimum, source.maximum
        places = max(source.decimals, *map(self.places, bounds)) if field.type == "number" else 0
        low, high = (int(self.operand(bound, path, "") * 10**places) for bound in bounds)
        word = self.random.word("field", *self.here, *path, step=self.number)
        units = low + ((word >> 32) * (max(high - low, 0) + 1) >> 32)
        return units / 10**places if field.type == "number" else units

    def computed(self, field: PayloadField, source: ComputedNumber, path: tuple[str, ...]) -> Any:
        of, times, plus = (
            self.operand(operand, path, name)
            for operand, name in ((source.of, "of"), (source.times, "times"), (source.plus, "plus"))
        )
        places = 0
        if field.type == "number":
            exact = max(self.places(source.of) + self.places(source.times), self.places(source.plus))
            places = min(exact, 9) if source.decimals is None else source.decimals
        units = math.floor((of * times + plus) * 10**places + Fraction(1, 2))
        return units / 10**places if field.type == "number" else units

    def operand(self, operand: Any, path: tuple[str, ...], key: str) -> Fraction:
        """The value of an operand, exactly as it is written in decimals."""
        match operand:
            case Reference("var", name):
                value = variable_value(self.catalog, self.chain, self.random, name, self.step.trigger)
            case Reference(_, name):
                value = self.named(name)
            case (low, high):
                unit = 10 ** self.places(operand)
                lowest, width = round(low * unit), round(high * unit) - round(low * unit) + 1
                word = self.random.word("field", *self.here, *path, key, step=self.number)
                return Fraction(lowest + below(word, width), unit)
            case value:
                pass
        return Fraction(repr(value))

    def places(self, operand: Any) -> int:
        """How many decimals the values of an operand may have."""
        match operand:
            case Reference("var", name):
                variable, _, attribute = name.partition(".")
                items = self.catalog.lists.get(self.chain.variables[variable].list or "", ())
                return max([0, *(decimals(item[attribute] if attribute else item) for item in items)])
            case Reference(_, name):
                source = self.field_of(name).source
                return (
                    source.decimals if isinstance(source, NumberRange) and self.field_of(name).type == "number" else 0
                )
            case (low, high):
                return max(decimals(low), decimals(high))
            case value:
                return decimals(value)

    def field_of(self, name: str) -> PayloadField:
        return {".".join(path[::2]): field for path, field in every_field(self.fields)}[name]

    def counter(self, source: CounterValue) -> int:
        owner = drawn(self.catalog, self.chain, self.random, source.variable, self.step.trigger)
        period, phase = (
            mix((purpose("counter", source.variable, quantity) + owner * GOLDEN) & MASK)
            for quantity in ("period", "phase")
        )
        shortest, longest = (int(each[:-1]) * {"s": 1, "h": 3600, "d": 86_400}[each[-1]] for each in source.every)
        length = shortest + below(period, longest - shortest + 1)
        since = int(datetime.fromisoformat(source.since).replace(tzinfo=UTC).timestamp())
        elapsed = max(self.step.time // 1_000_000 - since, 0)
        return 1 + (elapsed + ((phase >> 32) * length >> 32)) // length

    @property
    def here(self) -> tuple[str, str]:
        return self.chain.name, self.step.state


def decimals(number: float) -> int:
    """Digits after the point."""
    whole, _, rest = f"{Fraction(repr(number)).limit_denominator(10**9).__float__():.9f}".rstrip("0").partition(".")
    assert whole
    return len(rest)


def in_text(value: Any) -> str:
    """A value in a text."""
    return value if isinstance(value, str) else orjson.dumps(value).decode()


def timestamp(time: int) -> str:
    seconds, micro = divmod(time, 1_000_000)
    return format_timestamp(datetime.fromtimestamp(seconds, UTC).replace(microsecond=micro))
