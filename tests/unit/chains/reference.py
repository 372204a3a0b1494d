"""The generator again, slow and obvious: one chain at a time, one event at a time, dicts, and a sort at the end.

It shares no code with the package `chains`, so that equal bytes mean something.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from statistics import NormalDist
from typing import Any, NamedTuple

import orjson

from catalog import Catalog, Chain, Delay, Exponential, Fixed, LogNormal, PayloadField, Transition, Uniform
from eventbus.event import format_timestamp, microseconds, uuid7

GOLDEN = 0x9E3779B97F4A7C15
MASK = (1 << 64) - 1


def purpose(name: str) -> int:
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "little")


def mix(z: int) -> int:
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 & MASK
    z = (z ^ z >> 27) * 0x94D049BB133111EB & MASK
    return z ^ z >> 31


def below(word: int, count: int) -> int:
    return word % count if count > 1 << 32 else (word >> 32) * count >> 32


@dataclass(frozen=True)
class Randomness:
    """All random words of one chain."""

    key: int

    def word(self, name: str, step: int = 0) -> int:
        return mix(self.key ^ (purpose(name) + step * GOLDEN) & MASK)

    def among(self, weights: list[float], name: str, step: int = 0) -> int:
        point = self.word(name, step) >> 32
        reached = 0.0
        for number, weight in enumerate(weights[:-1]):
            reached += weight
            if point < round(reached / sum(weights) * 2**32):
                return number
        return len(weights) - 1


class Step(NamedTuple):
    """One event of a chain, before its text."""

    time: int
    state: str
    delay: int


def reference(
    catalog: Catalog, *, seed: int, chains: int, rate: float, start: datetime = datetime(2026, 1, 1, tzinfo=UTC)
) -> list[bytes]:
    """The lines that `ChainGenerator` has to make."""
    weighted = [chain for chain in catalog.chains.values() if chain.weight > 0]
    arrival, found = microseconds(start) * 1000, []
    for index in range(chains):
        random = Randomness(mix((purpose(f"seed:{seed}") + index * GOLDEN) & MASK))
        arrival += drawn_delay(Exponential(mean=1e9 / rate), random.word("arrival"), unit=1)
        chain = weighted[random.among([c.weight for c in weighted], "chain")]
        found += [
            (step.time, index, number, line)
            for number, (step, line) in enumerate(one_chain(catalog, chain, random, arrival // 1000))
        ]
    return [line for *_, line in sorted(found)]


def one_chain(catalog: Catalog, chain: Chain, random: Randomness, began: int) -> Iterator[tuple[Step, bytes]]:
    root = cause = None
    for number, step in enumerate(walk(chain, random, began)):
        event = catalog.events[chain.states[step.state].emits]
        event_id = uuid7(step.time, random.word("id", number) >> 2)
        root = root or event_id
        yield (
            step,
            orjson.dumps(
                {
                    "event_id": event_id,
                    "event_type": event.name,
                    "timestamp": timestamp(step.time),
                    "correlation_id": root,
                    "causation_id": cause,
                    "tenant_id": "default-tenant",
                    "namespace": "development",
                    "source": event.source,
                    "schema_version": event.schema_version,
                    "payload": Payload(catalog, chain, random, number, step).object(event.payload),
                }
            ),
        )
        cause = event_id


def walk(chain: Chain, random: Randomness, time: int) -> Iterator[Step]:
    state, delay = chain.start, 0
    for number in range(chain.max_steps):
        yield Step(time, state, delay)
        left = chain.max_steps - number - 2
        ways = [t for t in chain.states[state].next if t.weight > 0 and fewest(chain, t.to) <= left]
        if not ways:
            assert not chain.states[state].next
            return
        name = f"{chain.name}/{state}"
        way: Transition = ways[random.among([t.weight for t in ways], f"{name}/next", number)]
        delay = drawn_delay(way.delay, random.word(f"{name}/delay/{way.to}", number))
        state, time = way.to, time + delay


def fewest(chain: Chain, state: str) -> int:
    """Fewest transitions to the end, by trying ever more."""
    reachable = {state}
    for count in range(len(chain.states) + 1):
        if any(not chain.states[name].next for name in reachable):
            return count
        reachable |= {t.to for name in reachable for t in chain.states[name].next if t.weight > 0}
    return 1 << 30


def drawn_delay(delay: Delay, word: int, unit: int = 1000) -> int:
    """4096 cells of the quantile function, linear inside; the last cell of an open tail has 4096 of its own."""
    if isinstance(delay, Fixed):
        return round(delay.value * unit)
    if isinstance(delay, Uniform):
        low, high = round(delay.minimum * unit), round(delay.maximum * unit)
        bits = 63 - (high - low).bit_length()
        return low + ((word >> 64 - bits) * (high - low) >> bits)
    q = quantile(delay)

    def edge(p: float) -> int:
        return round(q(min(p, 1 - 2.0**-25)) * unit)

    cell, inside = word >> 52, word >> 32 & 0xFFFFF
    if cell == 4095:
        cell, inside = inside >> 8, inside & 0xFF
        low, high = (edge(1 - (1 - c / 4096) / 4096) for c in (cell, cell + 1))
        return low + ((high - low) * inside >> 8)
    low, high = edge(cell / 4096), edge((cell + 1) / 4096)
    return low + ((high - low) * inside >> 20)


def quantile(delay: Delay) -> Callable[[float], float]:
    if isinstance(delay, Uniform):
        return lambda p: delay.minimum + (delay.maximum - delay.minimum) * p
    if isinstance(delay, Exponential):
        return truncated(delay, lambda p: -delay.mean * math.log1p(-p), lambda x: -math.expm1(-x / delay.mean))
    assert isinstance(delay, LogNormal)
    sigma = math.log(delay.p95 / delay.median) / NormalDist().inv_cdf(0.95)
    normal = NormalDist(math.log(delay.median), sigma)
    return truncated(
        delay,
        lambda p: math.exp(normal.inv_cdf(p)) if p else 0.0,
        lambda x: normal.cdf(math.log(x)) if x else 0.0,
    )


def truncated(
    delay: Exponential | LogNormal, q: Callable[[float], float], cdf: Callable[[float], float]
) -> Callable[[float], float]:
    low, high = cdf(delay.minimum), 1.0 if delay.maximum is None else cdf(delay.maximum)
    return lambda p: q(low + (high - low) * p)


@dataclass(frozen=True)
class Payload:
    """The payload of one event."""

    catalog: Catalog
    chain: Chain
    random: Randomness
    number: int
    step: Step

    def object(self, fields: tuple[PayloadField, ...], path: str = "") -> dict[str, Any]:
        return {field.name: self.value(field, f"{path}/{field.name}") for field in fields}

    def value(self, field: PayloadField, path: str) -> Any:  # noqa: PLR0911 - one return for each source
        here = f"{self.chain.name}/{self.step.state}"
        if field.fields is not None:
            return self.object(field.fields, path)
        if field.elapsed:
            return self.step.delay // 1000
        if field.var is not None:
            return self.variable(*field.var.split("."))
        if field.pick is not None:
            items = self.catalog.lists[field.pick.split(".")[0]]
            item = items[below(self.random.word(f"{here}/pick:{field.pick.split('.')[0]}", self.number), len(items))]
            return item[field.pick.split(".")[1]] if "." in field.pick else item
        word = self.random.word(here + path, self.number)
        if field.choices is not None:
            return field.choices[below(word, len(field.choices))]
        if field.minimum is not None and field.maximum is not None:
            scale = 10**field.decimals if field.type == "number" else 1
            low, high = round(field.minimum * scale), round(field.maximum * scale)
            units = low + below(word, high - low + 1)
            return units / scale if field.type == "number" else units
        return field.value

    def variable(self, name: str, attribute: str | None = None) -> Any:
        variable = self.chain.variables[name]
        word = self.random.word(f"{self.chain.name}/var/{name}")
        if variable.list is None:
            assert variable.minimum is not None
            assert variable.maximum is not None
            return variable.minimum + below(word, variable.maximum - variable.minimum + 1)
        items = self.catalog.lists[variable.list]
        item = items[below(word, len(items))]
        return item if attribute is None else item[attribute]


def timestamp(time: int) -> str:
    seconds, micro = divmod(time, 1_000_000)
    return format_timestamp(datetime.fromtimestamp(seconds, UTC).replace(microsecond=micro))
