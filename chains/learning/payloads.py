"""Learns payloads: each field gets a source, and fields whose values depend on each other share a list."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from eventbus.catalog.errors import Location
from eventbus.catalog.infer.chains import slug, unique_name
from eventbus.catalog.model import PayloadField, Variable
from eventbus.catalog.model.sources import Source
from eventbus.catalog.sources import Choices, ElapsedTime, FixedValue, ListPick, VariableValue
from eventbus.chains.learning.fields import (
    MAX_LISTED,
    MIN_SHARE,
    REQUIRED_SHARE,
    Events,
    FieldSample,
    as_list,
    fits_in_line,
    is_coincidence,
    is_elapsed,
    is_uniform,
    known_values,
    number_range,
)
from eventbus.chains.learning.recording import Column, PayloadColumns
from eventbus.chains.learning.traces import Flags
from eventbus.chains.randomness import Integers

MIN_COVERAGE = 0.9
"""Share of a key's values for which an attribute must be known."""


@dataclass
class Dependency:
    """Fields with a functional dependency: equal within a chain, or within an event of one type."""

    samples: list[FieldSample]
    codes: Integers
    has: Flags
    """Marks the chains (or events) that have a value."""
    is_shared: bool = False
    """Whether several events of a chain have the value."""
    attributes: list[Dependency] = field(default_factory=list)
    """Fields determined by this one."""

    @property
    def distinct(self) -> int:
        """Number of distinct values."""
        return np.unique(self.codes[self.has]).size


def chain_constants(samples: Iterable[FieldSample], chains: int) -> list[Dependency]:
    """Finds fields that are constant within each chain; equal fields of several types become one dependency.

    Args:
        samples: the fields.
        chains: upper bound of the chain ids.
    """
    constants: list[Dependency] = []
    for sample in samples:
        constant = _chain_constant(sample, chains)
        if constant is None:
            continue
        equal = next((candidate for candidate in constants if _is_same(constant, candidate)), None)
        if equal is None:
            constants.append(constant)
        else:
            equal.samples.append(sample)
            equal.codes[constant.has] = constant.codes[constant.has]
            equal.has |= constant.has
            equal.is_shared = True
    return constants


def self_dependency(sample: FieldSample) -> Dependency:
    """A dependency over the events of one type, of one field so far."""
    return Dependency([sample], sample.codes, sample.usable)


def group_by_key(dependencies: Sequence[Dependency], *, keys: Sequence[Dependency]) -> list[Dependency]:
    """Attaches to each key the dependencies that it determines; returns the keys that no other key determines."""
    attached: set[int] = set()
    groups = []
    for key in sorted(keys, key=lambda dependency: -dependency.distinct):
        if id(key) in attached:
            continue
        groups.append(key)
        for attribute in dependencies:
            if attribute is key or id(attribute) in attached or attribute.attributes:
                continue
            if _determines(key, attribute):
                attached.add(id(attribute))
                key.attributes.append(attribute)
    return [key for key in groups if id(key) not in attached]


def _chain_constant(sample: FieldSample, chains: int) -> Dependency | None:
    """The field as a chain constant; None if a chain has several values of it."""
    rows = np.flatnonzero(sample.usable)[::-1]
    chain, values = sample.events.chain[rows], sample.codes[rows]
    codes, has = np.zeros(chains, np.int64), np.zeros(chains, np.bool_)
    codes[chain], has[chain] = values, True
    if (codes[chain] != values).any():
        return None
    repeats = rows.size - int(has.sum())
    if repeats and is_coincidence(repeats, values):
        return None
    return Dependency([sample], codes, has, is_shared=repeats > 0)


def _is_same(first: Dependency, second: Dependency) -> bool:
    both = first.has & second.has
    if first.samples[0].type != second.samples[0].type or (first.codes[both] != second.codes[both]).any():
        return False
    return not is_coincidence(int(both.sum()), first.codes[both])


def _determines(key: Dependency, attribute: Dependency) -> bool:
    both = key.has & attribute.has
    keys, key_of = np.unique(key.codes[both], return_inverse=True)
    values, value_of = np.unique(attribute.codes[both], return_inverse=True)
    if keys.size < MIN_COVERAGE * key.distinct or np.unique(key_of * values.size + value_of).size > keys.size:
        return False
    return not is_coincidence(int(both.sum()) - keys.size, attribute.codes[both])


MAX_CHAINS = 20_000
"""Chains in which dependencies are looked for."""


@dataclass
class Payloads:
    """The payloads learned so far.

    Attributes:
        fields: fields by event type.
        variables: variables, by the event types of the chains that have them.
        lists: lists of the catalog.
        notes: comments by location in the catalog.
    """

    fields: dict[str, tuple[PayloadField, ...]] = field(default_factory=dict)
    variables: dict[str, dict[str, Variable]] = field(default_factory=dict)
    lists: dict[str, tuple[Any, ...]] = field(default_factory=dict)
    notes: dict[Location, list[str]] = field(default_factory=dict)

    def learn(self, events: Sequence[tuple[Events, PayloadColumns, int]], chains: int) -> None:
        """Learns the payloads of a group of chains that share event types.

        Args:
            events: for each type its events, the columns of all events of the type, and the length of these.
            chains: upper bound of the chain ids.
        """
        samples = {typed.type: list(_samples(typed, columns, size)) for typed, columns, size in events}
        sources: dict[tuple[str, tuple[str, ...]], PayloadField] = {}
        for sample in (sample for fields in samples.values() for sample in fields):
            simple = _simple(sample)
            if simple is not None:
                sources[sample.events.type, sample.path] = simple
        self._share(samples, sources, chains)
        for fields in samples.values():
            self._pick(fields, sources)
        for typed, columns, _ in events:
            self.fields[typed.type] = tuple(self._built(typed.type, columns, (), sources))
            self._note_open(typed.type, columns)

    def _share(self, samples: dict[str, list[FieldSample]], sources: dict[Any, PayloadField], chains: int) -> None:
        """Makes variables of what is constant within a chain, and of what that determines."""
        limit = min(chains, MAX_CHAINS)
        by_place = {(sample.events.type, sample.path): sample for fields in samples.values() for sample in fields}
        first = [_first_chains(sample, limit) for place, sample in by_place.items() if place not in sources]
        usable = [sample for sample in first if sample.usable.any() and sample.share >= MIN_SHARE]
        constants = chain_constants(usable, limit)
        names: list[str] = []
        for key in group_by_key(constants, keys=[constant for constant in constants if constant.is_shared]):
            names.append(unique_name(slug(key.samples[0].path[-1]), names))
            self._variable(names[-1], key, sources, by_place)

    def _variable(
        self, name: str, key: Dependency, sources: dict[Any, PayloadField], samples: dict[Any, FieldSample]
    ) -> None:
        first = samples[key.samples[0].events.type, key.samples[0].path]
        if not key.attributes and first.type == "integer" and is_uniform(first):
            low, high = (int(bound or 0) for bound in number_range(first).bounds)
            variable, attributes = Variable(name=name, minimum=low, maximum=high), [""]
        else:
            items, attributes = self._list(key)
            variable = Variable(name=name, list=items)
        for part, attribute in zip([key, *key.attributes], attributes, strict=True):
            for sample in part.samples:
                reference = f"{name}.{attribute}" if attribute else name
                sources[sample.events.type, sample.path] = _field(sample, VariableValue(reference))
                self.variables.setdefault(sample.events.type, {})[name] = variable

    def _pick(self, samples: list[FieldSample], sources: dict[Any, PayloadField]) -> None:
        """Gives sources to the fields that are drawn for each event."""
        pending = [s for s in samples if (s.events.type, s.path) not in sources and s.share >= MIN_SHARE]
        dependencies = {sample.path: self_dependency(sample) for sample in pending}
        keys = [
            dependencies[sample.path]
            for sample in pending
            if 1 < sample.distinct[0].size <= MAX_LISTED and not is_uniform(sample)
        ]
        for key in group_by_key(list(dependencies.values()), keys=keys):
            self._source(key, sources)
            for part in (key, *key.attributes):
                del dependencies[part.samples[0].path]
        for dependency in dependencies.values():
            self._source(dependency, sources)

    def _source(self, key: Dependency, sources: dict[Any, PayloadField]) -> None:
        (sample,) = key.samples
        place = (sample.events.type, sample.path)
        if not key.attributes:
            if is_uniform(sample):
                sources[place] = _range_field(sample)
                return
            values, counts = known_values(sample, *sample.distinct)
            if sample.type in {"integer", "number"} and len(values) > MAX_LISTED:
                sources[place] = _range_field(sample)
                self._note(("events", place[0], "payload", *_nested(place[1])), "not drawn evenly in the recording")
                return
            choices = as_list(values, counts)
            if fits_in_line(choices) and len(values) <= MAX_LISTED:
                sources[place] = _field(sample, Choices(choices))
                return
        name, attributes = self._list(key)
        for part, attribute in zip([key, *key.attributes], attributes, strict=True):
            reference = f"{name}.{attribute}" if attribute else name
            sources[part.samples[0].events.type, part.samples[0].path] = _field(part.samples[0], ListPick(reference))

    def _list(self, key: Dependency) -> tuple[str, list[str]]:
        """Adds a list of a key's values and of what they determine.

        Returns:
            The name of the list, and the names of the attributes of its items; one empty name for plain items.
        """
        codes, counts = np.unique(key.codes[key.has], return_counts=True)
        if not key.attributes:
            return self._named(key, as_list(*known_values(key.samples[0], codes, counts)), codes.size), [""]
        parts = [key, *key.attributes]
        names: list[str] = []
        for part in parts:
            names.append(unique_name(part.samples[0].path[-1].replace(".", "_"), names))
        columns = [_lookup_table(key, part) for part in parts]
        complete = {
            code: count
            for code, count in zip(codes.tolist(), counts.tolist(), strict=True)
            if all(code in column for column in columns)
        }
        items = [_Item(zip(names, (column[code] for column in columns), strict=True)) for code in complete]
        return self._named(key, tuple(map(dict, as_list(items, list(complete.values())))), codes.size), names

    def _named(self, key: Dependency, items: tuple[Any, ...], seen: int) -> str:
        """Adds a list, or finds an equal one, and returns its name."""
        event_type, path = key.samples[0].events.type, key.samples[0].path
        name = slug(path[-1])
        for existing, existing_items in self.lists.items():
            if existing_items == items and existing.startswith(name):
                return existing
        if name in self.lists:
            name = unique_name(slug(f"{event_type.split('.')[1]}-{name}"), self.lists)
        self.lists[name] = items
        kept = len({str(item) for item in items})
        if seen > kept:
            self._note(("lists", name), f"{kept:,} of {seen:,} values")
        return name

    def _built(
        self, event_type: str, columns: PayloadColumns, path: tuple[str, ...], sources: dict[Any, PayloadField]
    ) -> Iterator[PayloadField]:
        """The fields that have a source, in their order."""
        for name, member in columns.members.items():
            field_path = (*path, name)
            if isinstance(member, Column):
                if (event_type, field_path) in sources:
                    yield sources[event_type, field_path]
                continue
            fields = tuple(self._built(event_type, member, field_path, sources))
            if fields:
                is_required = any(inner.required for inner in fields)
                yield PayloadField(name=name, type="object", fields=fields, required=is_required)

    def _note_open(self, event_type: str, columns: PayloadColumns) -> None:
        if columns.is_open:
            self._note(
                ("events", event_type, "payload"), f"fields beyond the first {len(columns.members)} are left out"
            )

    def _note(self, place: Location, text: str) -> None:
        self.notes.setdefault(place, []).append(text)


class _Item(dict[str, Any]):
    """An item of a list; its text, by which items are sorted, is its first attribute."""

    def __str__(self) -> str:
        return str(next(iter(self.values())))


def _samples(events: Events, columns: PayloadColumns, size: int) -> Iterator[FieldSample]:
    for path, column in columns.columns():
        yield FieldSample.of(events, path, column, size)


def _first_chains(sample: FieldSample, chains: int) -> FieldSample:
    """The part of a sample that belongs to the first `chains` chains."""
    selected = sample.events.chain < chains
    events = Events(sample.events.type, *(column[selected] for column in sample.events[1:]))
    return replace(sample, events=events, codes=sample.codes[selected], kinds=sample.kinds[selected])


def _simple(sample: FieldSample) -> PayloadField | None:
    """The field if it is a constant or an elapsed time; None otherwise."""
    if sample.share < MIN_SHARE:
        return None
    if is_elapsed(sample):
        return _field(sample, ElapsedTime())
    codes, counts = sample.distinct
    values, _ = known_values(sample, codes, counts)
    return _field(sample, FixedValue(values[0])) if codes.size == 1 and values else None


def _range_field(sample: FieldSample) -> PayloadField:
    return PayloadField(name=sample.path[-1], type=sample.type, source=number_range(sample))


def _field(sample: FieldSample, source: Source) -> PayloadField:
    return PayloadField(name=sample.path[-1], type=sample.type, required=sample.share >= REQUIRED_SHARE, source=source)


def _lookup_table(key: Dependency, part: Dependency) -> dict[int, Any]:
    """The values of a part by the code of the key."""
    both = key.has & part.has
    codes, first = np.unique(key.codes[both], return_index=True)
    values = {
        code: next((value for sample in part.samples if (value := sample.value(part_code)) is not ...), ...)
        for code, part_code in zip(codes.tolist(), part.codes[both][first].tolist(), strict=True)
    }
    return {code: value for code, value in values.items() if value is not ...}


def _nested(path: tuple[str, ...]) -> tuple[str, ...]:
    """`("a", "b")` as a location in a catalog: `("a", "fields", "b")`."""
    return tuple(part for name in path for part in ("fields", name))[1:]
