"""Learn a catalog from a recording: its chains, their figures, their payloads, and what could not be learned."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any, NamedTuple

import numpy as np

from eventbus.catalog import Catalog, Chain, EventType, Variable
from eventbus.catalog.errors import Location
from eventbus.catalog.infer import Sketch
from eventbus.catalog.infer.chains import dashed, unique
from eventbus.chains.errors import NothingToLearn
from eventbus.chains.learning.fields import events_by_type
from eventbus.chains.learning.fitting import percentages
from eventbus.chains.learning.payloads import Payloads
from eventbus.chains.learning.recording import Recording, record
from eventbus.chains.learning.states import Learned, learned, recognised
from eventbus.chains.learning.traces import Forest, Walks, grown, judged
from eventbus.event import EPOCH, format_timestamp

MOST_TENANTS = 8
"""Tenants that are named, ..."""
RARE_TENANT = 0.001
"""... if they have no smaller share of the events."""


class Lesson(NamedTuple):
    """What was learned."""

    sketch: Sketch
    account: list[str]
    """What was read, and what of it is not in the catalog: a sentence each."""


def learn(batches: Iterable[Sequence[bytes]], name: str = "a recording", known: Catalog | None = None) -> Lesson:
    """Fit a catalog to a recorded stream.

    Args:
        batches: JSON events, a line each, many at a time.
        name: of the stream, for the comments.
        known: keeps its states, payloads and event types, and gets the weights, shares and delays of the stream; chains
            of which it knows nothing are learned as well. None: everything is learned.

    Raises:
        NothingToLearn: there is no complete chain.
    """
    recording = record(batches)
    forest = grown(recording)
    names = list(recording.types)
    old, walks, left = recognised(known, forest.walks, names) if known else ([], forest.walks, Counter[str]())
    walks, more = judged(walks, names)
    new = list(_chains(walks, names, [*known.chains] if known else []))
    if not old and not new:
        why = [*_left(recording, forest, left + more)] or ["It has no event."]
        raise NothingToLearn("\n".join([f"{name} has no complete chain to learn from.", *why]))
    more["take ways that hardly any other takes"] = walks.chains - sum(one.walks.chains for one in new)
    account = [*_read(recording, _joined([*old, *new]), name), *_left(recording, forest, left + more)]
    sketch = _sketch(recording, new, account) if known is None else _overlay(recording, old, new, account, known)
    return Lesson(sketch, account)


def _chains(walks: Walks, names: Sequence[str], taken: list[str]) -> Iterator[Learned]:
    """The most frequent first."""
    root = walks.root
    counts = Counter(root[walks.first].tolist())
    for kind, _ in counts.most_common():
        words = names[kind].split(".")[1:-2] or [names[kind].split(".")[1]]
        taken.append(unique(dashed("-".join(words), "-"), taken))
        yield learned(taken[-1], walks.where(root == kind), names)


def _sketch(recording: Recording, found: Sequence[Learned], account: Sequence[str]) -> Sketch:
    payloads = _payloads(recording, found, {})
    notes: dict[Location, list[str]] = {**payloads.notes, **_event_notes(recording, found)}
    return Sketch(
        catalog=Catalog(
            events=_events(recording, found, payloads),
            chains={chain.name: chain for chain in _weighted([_with_variables(one.chain, payloads) for one in found])},
            lists=payloads.lists,
        ),
        notes=notes | _chain_notes(found),
        head=[*account, "", *LEGEND],
    )


def _overlay(
    recording: Recording, old: Sequence[Learned], new: Sequence[Learned], account: Sequence[str], known: Catalog
) -> Sketch:
    """What changes in a known catalog; its chains that did not come are off."""
    payloads = _payloads(recording, new, dict(known.lists))
    fitted = [*(one.chain for one in old), *(_with_variables(one.chain, payloads) for one in new)]
    silent = [replace(chain, weight=0) for chain in known.chains.values()]
    chains = {chain.name: chain for chain in [*silent, *_weighted(fitted)]}
    off = [chain.name for chain in silent if chains[chain.name] is chain]
    notes: dict[Location, list[str]] = {("chains", name, "weight"): ["not seen"] for name in off}
    return Sketch(
        catalog=replace(
            known,
            events={**known.events, **_events(recording, new, payloads)},
            chains=chains,
            lists=payloads.lists,
        ),
        notes={**notes, **payloads.notes, **_event_notes(recording, new), **_chain_notes([*old, *new])},
        head=[*account, "", "To be read behind the catalog that it was merged with.", "", *LEGEND],
        beneath=known,
    )


def _payloads(recording: Recording, found: Sequence[Learned], lists: dict[str, Any]) -> Payloads:
    payloads = Payloads(lists=lists)
    for group in _neighbours(found):
        _learn_payloads(payloads, recording, group)
    return payloads


def _events(recording: Recording, found: Sequence[Learned], payloads: Payloads) -> dict[str, EventType]:
    names = list(recording.types)
    kinds = dict.fromkeys(kind for one in found for kind, _ in _emitted(one.walks))
    return {names[kind]: _event(kind, recording, payloads) for kind in kinds}


def _event_notes(recording: Recording, found: Sequence[Learned]) -> dict[Location, list[str]]:
    names = list(recording.types)
    emitted: Counter[int] = Counter()
    for one in found:
        emitted.update(dict(_emitted(one.walks)))
    return {
        ("events", names[kind]): [f"{count:,} events", *_other_sources(kind, recording)]
        for kind, count in emitted.items()
    }


def _chain_notes(found: Sequence[Learned]) -> dict[Location, list[str]]:
    notes: dict[Location, list[str]] = {}
    for one in found:
        notes |= one.notes
        notes["chains", one.chain.name, "weight"] = [f"{one.walks.chains:,} chains"]
    return notes


LEGEND = [
    "ks: the largest distance between the cumulative shares of the recorded delays and those of the distribution",
    "(Kolmogorov–Smirnov), and how many delays there were.",
]


def _neighbours(found: Sequence[Learned]) -> list[list[Learned]]:
    """The chains in groups that share no event type."""
    groups: list[tuple[set[str], list[Learned]]] = []
    for one in found:
        types = {state.emits for state in one.chain.states.values()}
        near = [group for group in groups if group[0] & types]
        groups = [group for group in groups if not group[0] & types]
        joined = (types.union(*(group[0] for group in near)), [*(o for _, every in near for o in every), one])
        groups.append(joined)
    return [every for _, every in groups]


def _learn_payloads(payloads: Payloads, recording: Recording, group: Sequence[Learned]) -> None:
    walks = _joined(group)
    number = np.unique(walks.chain, return_inverse=True)[1]
    walks = walks._replace(chain=number)
    kinds = recording.types
    events = [
        (one, recording.payloads[kinds[one.type]], recording.count(kinds[one.type]))
        for one in events_by_type(recording, walks)
    ]
    payloads.learn(events, int(number.max()) + 1)


def _joined(group: Sequence[Learned]) -> Walks:
    return Walks(*map(np.concatenate, zip(*(one.walks for one in group), strict=True)))


def _with_variables(chain: Chain, payloads: Payloads) -> Chain:
    found: dict[str, Variable] = {}
    for state in chain.states.values():
        found |= payloads.variables.get(state.emits, {})
    return replace(chain, variables=found)


def _weighted(chains: Sequence[Chain]) -> list[Chain]:
    shares = percentages([int(chain.weight) for chain in chains])
    return [replace(chain, weight=share) for chain, share in zip(chains, shares, strict=True)]


def _emitted(walks: Walks) -> Iterator[tuple[int, int]]:
    kinds, counts = np.unique(walks.type, return_counts=True)
    return zip(kinds.tolist(), counts.tolist(), strict=True)


def _event(kind: int, recording: Recording, payloads: Payloads) -> EventType:
    name = list(recording.types)[kind]
    (_, source, version), _ = _sources(kind, recording)[0]
    return EventType(name=name, source=source, schema_version=version, payload=payloads.fields[name])


def _sources(kind: int, recording: Recording) -> list[tuple[tuple[int, str, str], int]]:
    return [(key, count) for key, count in recording.emitted.most_common() if key[0] == kind]


def _other_sources(kind: int, recording: Recording) -> list[str]:
    others = _sources(kind, recording)[1:]
    return [f"also from {source} {version}: {count:,}" for (_, source, version), count in others[:3]]


def _read(recording: Recording, walks: Walks, name: str) -> Iterator[str]:
    starts = np.sort(walks.time[walks.first])
    begin, end = (format_timestamp(EPOCH + timedelta(microseconds=int(walks.time[i]))) for i in _extremes(walks))
    yield f"Learned from {name}: {walks.rows.size:,} events of {walks.chains:,} chains, {begin} to {end}."
    seconds = float(starts[-1] - starts[0]) / 1e6
    if starts.size > 1 and seconds > 0:
        yield f"Chains begin {(starts.size - 1) / seconds:.4g} times a second on average (--rate)."
    yield "Tenants: " + _shares(recording) + "."


def _extremes(walks: Walks) -> tuple[int, int]:
    return int(np.argmin(walks.time)), int(np.argmax(walks.time))


def _shares(recording: Recording) -> str:
    total = recording.tenants.total()
    most = [one for one in recording.tenants.most_common(MOST_TENANTS) if one[1] >= RARE_TENANT * total]
    named = [f"{tenant} ({space}) {count / total:.1%}" for (tenant, space), count in most]
    more = len(recording.tenants) - len(named)
    return ", ".join(named) + (f" and {more:,} more" if more else "")


def _left(recording: Recording, forest: Forest, left: Counter[str]) -> Iterator[str]:
    """What was read and not learned."""
    names = list(recording.types)
    for problem, count in recording.unread.most_common():
        yield f"Left out: {count:,} of {recording.lines:,} lines are no events: {problem}."
    if forest.copies:
        yield f"Left out: {forest.copies:,} events came again with the same id."
    for reason, count in (forest.broken + left).most_common():
        yield f"Left out: {count:,} chains {reason}."
    if forest.beside:
        kinds = ", ".join(f"{names[kind]} {count:,}" for kind, count in forest.beside.most_common(5))
        yield (
            f"Left out: {forest.beside.total():,} events of {forest.branched:,} chains in which one event caused"
            f" several; learned is the way to the latest. Left out were {kinds}."
        )
