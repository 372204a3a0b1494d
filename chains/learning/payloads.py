"""The payloads of event types: each field gets a source, and fields that belong together get one list."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from eventbus.catalog.errors import Location
from eventbus.catalog.infer.chains import dashed, unique
from eventbus.catalog.model import PayloadField, Variable
from eventbus.chains.learning.fields import (
    ALWAYS,
    MOST_LISTED,
    RARE,
    Events,
    Sample,
    by_chance,
    drawn,
    fits_in_line,
    is_elapsed,
    is_even,
    known,
    listed,
)
from eventbus.chains.learning.recording import Column, Record
from eventbus.chains.learning.traces import Flags
from eventbus.chains.randomness import Integers

# Fields whose values belong together: the same in a whole chain, or one given by the other.


COVERED = 0.9
"""An attribute has to be known of so many of the values that it depends on."""


@dataclass
class Bond:
    """Fields that have the same value in every chain (or, of one event type, in every event)."""

    samples: list[Sample]
    codes: Integers
    has: Flags
    """Whether a chain (or event) has a value at all."""
    is_shared: bool = False
    """Several events of a chain show it."""
    attributes: list[Bond] = field(default_factory=list)
    """What is given by this one's value."""

    @property
    def distinct(self) -> int:
        return np.unique(self.codes[self.has]).size


def shared(samples: Iterable[Sample], chains: int) -> list[Bond]:
    """Bonds over chains, of all fields whose value is the same wherever it comes in a chain.

    Args:
        chains: their numbers are below this.
    """
    bonds: list[Bond] = []
    for sample in samples:
        bond = _of_chain(sample, chains)
        if bond is None:
            continue
        same = next((other for other in bonds if _is_same(bond, other)), None)
        if same is None:
            bonds.append(bond)
        else:
            same.samples.append(sample)
            same.codes[bond.has] = bond.codes[bond.has]
            same.has |= bond.has
            same.is_shared = True
    return bonds


def single(sample: Sample) -> Bond:
    """A bond over the events of one type."""
    return Bond([sample], sample.codes, sample.usable)


def tied(bonds: Sequence[Bond], *, keys: Sequence[Bond]) -> list[Bond]:
    """The keys, each with the other bonds that it determines as its attributes; the attributes are left out."""
    owned: set[int] = set()
    found = []
    for key in sorted(keys, key=lambda bond: -bond.distinct):
        if id(key) in owned:
            continue
        found.append(key)
        for other in bonds:
            if other is not key and id(other) not in owned and not other.attributes and _determines(key, other):
                owned.add(id(other))
                key.attributes.append(other)
    return [key for key in found if id(key) not in owned]


def _of_chain(sample: Sample, chains: int) -> Bond | None:
    """None if chains have several values."""
    rows = np.flatnonzero(sample.usable)[::-1]
    chain, values = sample.events.chain[rows], sample.codes[rows]
    codes, has = np.zeros(chains, np.int64), np.zeros(chains, np.bool_)
    codes[chain], has[chain] = values, True
    if (codes[chain] != values).any():
        return None
    again = rows.size - int(has.sum())
    if again and by_chance(again, values):
        return None
    return Bond([sample], codes, has, is_shared=again > 0)


def _is_same(one: Bond, other: Bond) -> bool:
    both = one.has & other.has
    if one.samples[0].type != other.samples[0].type or (one.codes[both] != other.codes[both]).any():
        return False
    return not by_chance(int(both.sum()), one.codes[both])


def _determines(key: Bond, other: Bond) -> bool:
    both = key.has & other.has
    first, one = np.unique(key.codes[both], return_inverse=True)
    second, two = np.unique(other.codes[both], return_inverse=True)
    if first.size < COVERED * key.distinct or np.unique(one * second.size + two).size > first.size:
        return False
    return not by_chance(int(both.sum()) - first.size, other.codes[both])


MOST_CHAINS = 20_000
"""In so many chains it is looked for what belongs together."""


@dataclass
class Payloads:
    """What payloads were found to be.

    Attributes:
        fields: of each event type.
        variables: of the chains that emit an event type.
        lists: of the catalog.
        notes: comments by place in the catalog.
    """

    fields: dict[str, tuple[PayloadField, ...]] = field(default_factory=dict)
    variables: dict[str, dict[str, Variable]] = field(default_factory=dict)
    lists: dict[str, tuple[Any, ...]] = field(default_factory=dict)
    notes: dict[Location, list[str]] = field(default_factory=dict)

    def learn(self, events: Sequence[tuple[Events, Record, int]], chains: int) -> None:
        """Learn the payloads of some types that are emitted by chains which share types.

        Args:
            events: with the records of all events of the type, and how many those are.
            chains: numbers of chains are below this.
        """
        samples = {one.type: list(_samples(one, record, size)) for one, record, size in events}
        sources: dict[tuple[str, tuple[str, ...]], PayloadField] = {}
        for sample in (sample for every in samples.values() for sample in every):
            simple = _simple(sample)
            if simple is not None:
                sources[sample.events.type, sample.path] = simple
        self._share(samples, sources, chains)
        for every in samples.values():
            self._pick(every, sources)
        for one, record, _ in events:
            self.fields[one.type] = tuple(self._built(one.type, record, (), sources))
            self._note_record(one.type, record)

    def _share(self, samples: dict[str, list[Sample]], sources: dict[Any, PayloadField], chains: int) -> None:
        """Variables: what is the same in a whole chain, and what is given by that."""
        some = min(chains, MOST_CHAINS)
        early = [_early(s, some) for every in samples.values() for s in every if (s.events.type, s.path) not in sources]
        bonds = shared([sample for sample in early if sample.usable.any() and sample.share >= RARE], some)
        whole = {(s.events.type, s.path): s for every in samples.values() for s in every}
        names: list[str] = []
        for bond in tied(bonds, keys=[bond for bond in bonds if bond.is_shared]):
            names.append(unique(dashed(bond.samples[0].path[-1]), names))
            self._variable(names[-1], bond, sources, whole)

    def _variable(self, name: str, bond: Bond, sources: dict[Any, PayloadField], whole: dict[Any, Sample]) -> None:
        first = whole[bond.samples[0].events.type, bond.samples[0].path]
        if not bond.attributes and first.type == "integer" and is_even(first):
            numbers = drawn(first)
            low, high = int(numbers.minimum or 0), int(numbers.maximum or 0)
            variable, attributes = Variable(name=name, minimum=low, maximum=high), [""]
        else:
            items, attributes = self._list(bond)
            variable = Variable(name=name, list=items)
        for one, attribute in zip([bond, *bond.attributes], attributes, strict=True):
            for sample in one.samples:
                reference = f"{name}.{attribute}" if attribute else name
                sources[sample.events.type, sample.path] = _field(sample, var=reference)
                self.variables.setdefault(sample.events.type, {})[name] = variable

    def _pick(self, samples: list[Sample], sources: dict[Any, PayloadField]) -> None:
        """What is drawn anew for each event."""
        left = [s for s in samples if (s.events.type, s.path) not in sources and s.share >= RARE]
        bonds = {sample.path: single(sample) for sample in left}
        keys = [bonds[s.path] for s in left if 1 < s.distinct[0].size <= MOST_LISTED and not is_even(s)]
        for bond in tied(list(bonds.values()), keys=keys):
            self._source(bond, sources)
            for one in bond.attributes:
                del bonds[one.samples[0].path]
            del bonds[bond.samples[0].path]
        for bond in bonds.values():
            self._source(bond, sources)

    def _source(self, bond: Bond, sources: dict[Any, PayloadField]) -> None:
        (sample,) = bond.samples
        place = (sample.events.type, sample.path)
        if not bond.attributes:
            if is_even(sample):
                sources[place] = drawn(sample)
                return
            values, counts = known(sample, *sample.distinct)
            if sample.type in {"integer", "number"} and len(values) > MOST_LISTED:
                sources[place] = drawn(sample)
                self._note(("events", place[0], "payload", *_nested(place[1])), "not drawn evenly in the recording")
                return
            choices = listed(values, counts)
            if fits_in_line(choices) and len(values) <= MOST_LISTED:
                sources[place] = _field(sample, choices=choices)
                return
        name, attributes = self._list(bond)
        for one, attribute in zip([bond, *bond.attributes], attributes, strict=True):
            reference = f"{name}.{attribute}" if attribute else name
            sources[one.samples[0].events.type, one.samples[0].path] = _field(one.samples[0], pick=reference)

    def _list(self, bond: Bond) -> tuple[str, list[str]]:
        """Make a list of a bond's values.

        Returns:
            Its name, and those of the attributes of the bond and of what it determines; an empty one if it is alone.
        """
        codes, counts = np.unique(bond.codes[bond.has], return_counts=True)
        if not bond.attributes:
            return self._named(bond, listed(*known(bond.samples[0], codes, counts)), codes.size), [""]
        parts = [bond, *bond.attributes]
        names: list[str] = []
        for part in parts:
            names.append(unique(part.samples[0].path[-1].replace(".", "_"), names))
        columns = [_given(bond, part) for part in parts]
        often = {code: n for code, n in zip(codes.tolist(), counts.tolist(), strict=True) if _has(columns, code)}
        items = [_Item(zip(names, (column[code] for column in columns), strict=True)) for code in often]
        return self._named(bond, tuple(map(dict, listed(items, list(often.values())))), codes.size), names

    def _named(self, bond: Bond, items: tuple[Any, ...], seen: int) -> str:
        """The name of a list; one that is there already is used again."""
        kind, path = bond.samples[0].events.type, bond.samples[0].path
        name = dashed(path[-1])
        for known_name, other in self.lists.items():
            if other == items and known_name.startswith(name):
                return known_name
        if name in self.lists:
            name = unique(dashed(f"{kind.split('.')[1]}-{name}"), self.lists)
        self.lists[name] = items
        kept = len({str(item) for item in items})
        if seen > kept:
            self._note(("lists", name), f"{kept:,} of {seen:,} values")
        return name

    def _built(
        self, kind: str, record: Record, path: tuple[str, ...], sources: dict[Any, PayloadField]
    ) -> Iterator[PayloadField]:
        """The fields of a record, in its order; what is rare, or has no source, is left out."""
        for name, member in record.members.items():
            here = (*path, name)
            if isinstance(member, Column):
                if (kind, here) in sources:
                    yield sources[kind, here]
                continue
            inner = tuple(self._built(kind, member, here, sources))
            if inner:
                yield PayloadField(name=name, type="object", fields=inner, required=any(one.required for one in inner))

    def _note_record(self, kind: str, record: Record) -> None:
        if record.is_open:
            self._note(("events", kind, "payload"), f"more fields than the first {len(record.members)} came")

    def _note(self, place: Location, text: str) -> None:
        self.notes.setdefault(place, []).append(text)


class _Item(dict[str, Any]):
    """An item of a list, ordered by its first attribute."""

    def __str__(self) -> str:
        return str(next(iter(self.values())))


def _samples(events: Events, record: Record, size: int) -> Iterator[Sample]:
    for path, column in record.columns():
        yield Sample.of(events, path, column, size)


def _early(sample: Sample, chains: int) -> Sample:
    """The part of a sample that is in the first chains."""
    chosen = sample.events.chain < chains
    columns = (column[chosen] for column in sample.events[1:])
    return replace(
        sample, events=Events(sample.events.type, *columns), codes=sample.codes[chosen], kinds=sample.kinds[chosen]
    )


def _simple(sample: Sample) -> PayloadField | None:
    """A constant or an elapsed time; None for anything else."""
    if sample.share < RARE:
        return None
    if is_elapsed(sample):
        return _field(sample, elapsed=True)
    codes, counts = sample.distinct
    values, _ = known(sample, codes, counts)
    return _field(sample, value=values[0]) if codes.size == 1 and values else None


def _field(sample: Sample, **source: Any) -> PayloadField:
    return PayloadField(name=sample.path[-1], type=sample.type, required=sample.share >= ALWAYS, **source)


def _given(key: Bond, part: Bond) -> dict[int, Any]:
    """By the code of the key's value, the value of a part."""
    both = key.has & part.has
    codes, first = np.unique(key.codes[both], return_index=True)
    values = {
        code: next((value for s in part.samples if (value := s.value(other)) is not ...), ...)
        for code, other in zip(codes.tolist(), part.codes[both][first].tolist(), strict=True)
    }
    return {code: value for code, value in values.items() if value is not ...}


def _has(columns: Sequence[dict[int, Any]], code: int) -> bool:
    return all(code in column for column in columns)


def _nested(path: tuple[str, ...]) -> tuple[str, ...]:
    """`("a", "b")` → `("a", "fields", "b")`, as places are written."""
    return tuple(part for name in path for part in ("fields", name))[1:]
