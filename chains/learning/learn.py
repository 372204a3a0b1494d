"""Learns a catalog from a recording: chains, shares, delays and payloads, and an account of what was left out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any, NamedTuple

import numpy as np

from eventbus.catalog import Catalog, Chain, EventType, Variable
from eventbus.catalog.errors import Location
from eventbus.catalog.infer import DraftCatalog
from eventbus.catalog.infer.chains import slug, unique_name
from eventbus.chains.errors import NothingToLearn
from eventbus.chains.learning.fields import events_by_type
from eventbus.chains.learning.fitting import percentages
from eventbus.chains.learning.payloads import Payloads
from eventbus.chains.learning.recording import Recording, record
from eventbus.chains.learning.states import Learned, learn_chain, recognise_known
from eventbus.chains.learning.traces import CausalTrees, Walks, build_trees, filter_learnable
from eventbus.event import EPOCH, format_timestamp

MAX_TENANTS = 8
"""Tenants named in the account."""
MIN_TENANT_SHARE = 0.001
"""Smallest share of the events with which a tenant is named."""


class LearnedCatalog(NamedTuple):
    """A catalog fitted to a recording."""

    draft: DraftCatalog
    account: list[str]
    """Sentences about what was read, and what of it is not in the catalog."""


def learn(
    batches: Iterable[Sequence[bytes]], name: str = "a recording", known: Catalog | None = None
) -> LearnedCatalog:
    """Fits a catalog to a recorded stream.

    Args:
        batches: lists of lines, each line a JSON event.
        name: name of the recording, for the comments.
        known: a catalog whose states, payloads and event types are kept and whose weights, shares and delays are
            fitted; chains that it does not have are learned too. By default everything is learned.

    Raises:
        NothingToLearn: the recording holds no complete chain.
    """
    recording = record(batches)
    trees = build_trees(recording)
    names = list(recording.types)
    old, walks, left_out = recognise_known(known, trees.walks, names) if known else ([], trees.walks, Counter[str]())
    walks, unlearnable = filter_learnable(walks, names)
    new = list(_learn_chains(walks, names, [*known.chains] if known else []))
    if not old and not new:
        reasons = [*_left_out_notes(recording, trees, left_out + unlearnable)] or ["It has no event."]
        raise NothingToLearn("\n".join([f"{name} has no complete chain to learn from.", *reasons]))
    unlearnable["take paths that hardly any other takes"] = walks.chains - sum(chain.walks.chains for chain in new)
    account = [
        *_represented_notes(recording, _merge_walks([*old, *new]), name),
        *_left_out_notes(recording, trees, left_out + unlearnable),
    ]
    draft = _draft(recording, new, account) if known is None else _overlay(recording, old, new, account, known)
    return LearnedCatalog(draft, account)


def _learn_chains(walks: Walks, names: Sequence[str], taken: list[str]) -> Iterator[Learned]:
    """One chain for each type that chains begin with, the most frequent first."""
    root = walks.root
    counts = Counter(root[walks.first].tolist())
    for type_id, _ in counts.most_common():
        words = names[type_id].split(".")[1:-2] or [names[type_id].split(".")[1]]
        taken.append(unique_name(slug("-".join(words), "-"), taken))
        yield learn_chain(taken[-1], walks.where(root == type_id), names)


def _draft(recording: Recording, learned: Sequence[Learned], account: Sequence[str]) -> DraftCatalog:
    payloads = _payloads(recording, learned, {})
    chains = [_with_variables(fit.chain, payloads) for fit in learned]
    notes: dict[Location, list[str]] = {**payloads.notes, **_event_notes(recording, learned)}
    return DraftCatalog(
        catalog=Catalog(
            events=_events(recording, learned, payloads),
            chains={chain.name: chain for chain in _weighted(chains)},
            lists=payloads.lists,
        ),
        notes=notes | _chain_notes(learned),
        head=[*account, "", *LEGEND],
    )


def _overlay(
    recording: Recording, old: Sequence[Learned], new: Sequence[Learned], account: Sequence[str], known: Catalog
) -> DraftCatalog:
    """The changes to a known catalog; chains that were not seen get a weight of 0."""
    payloads = _payloads(recording, new, dict(known.lists))
    fitted = [*(fit.chain for fit in old), *(_with_variables(fit.chain, payloads) for fit in new)]
    unseen = [replace(chain, weight=0) for chain in known.chains.values()]
    chains = {chain.name: chain for chain in [*unseen, *_weighted(fitted)]}
    disabled = [chain.name for chain in unseen if chains[chain.name] is chain]
    notes: dict[Location, list[str]] = {("chains", name, "weight"): ["not seen"] for name in disabled}
    return DraftCatalog(
        catalog=replace(
            known,
            events={**known.events, **_events(recording, new, payloads)},
            chains=chains,
            lists=payloads.lists,
        ),
        notes={**notes, **payloads.notes, **_event_notes(recording, new), **_chain_notes([*old, *new])},
        head=[*account, "", "Load this file after the catalog that it was merged with.", "", *LEGEND],
        base=known,
    )


def _payloads(recording: Recording, learned: Sequence[Learned], lists: dict[str, Any]) -> Payloads:
    payloads = Payloads(lists=lists)
    for group in _chains_sharing_types(learned):
        _learn_payloads(payloads, recording, group)
    return payloads


def _events(recording: Recording, learned: Sequence[Learned], payloads: Payloads) -> dict[str, EventType]:
    names = list(recording.types)
    type_ids = dict.fromkeys(type_id for fit in learned for type_id, _ in _emitted(fit.walks))
    return {names[type_id]: _event(type_id, recording, payloads) for type_id in type_ids}


def _event_notes(recording: Recording, learned: Sequence[Learned]) -> dict[Location, list[str]]:
    names = list(recording.types)
    emitted: Counter[int] = Counter()
    for fit in learned:
        emitted.update(dict(_emitted(fit.walks)))
    return {
        ("events", names[type_id]): [f"{count:,} events", *_other_sources(type_id, recording)]
        for type_id, count in emitted.items()
    }


def _chain_notes(learned: Sequence[Learned]) -> dict[Location, list[str]]:
    notes: dict[Location, list[str]] = {}
    for fit in learned:
        notes |= fit.notes
        notes["chains", fit.chain.name, "weight"] = [f"{fit.walks.chains:,} chains"]
    return notes


LEGEND = [
    "ks: the largest distance between the cumulative shares of the recorded delays and those of the distribution",
    "(Kolmogorov–Smirnov), and how many delays there were.",
]


def _chains_sharing_types(learned: Sequence[Learned]) -> list[list[Learned]]:
    """Groups of chains; no two groups share an event type."""
    groups: list[tuple[set[str], list[Learned]]] = []
    for fit in learned:
        types = {state.emits for state in fit.chain.states.values()}
        overlapping = [group for group in groups if group[0] & types]
        groups = [group for group in groups if not group[0] & types]
        members = [member for _, group in overlapping for member in group]
        groups.append((types.union(*(group[0] for group in overlapping)), [*members, fit]))
    return [members for _, members in groups]


def _learn_payloads(payloads: Payloads, recording: Recording, group: Sequence[Learned]) -> None:
    walks = _merge_walks(group)
    chain_ids = np.unique(walks.chain, return_inverse=True)[1]
    walks = walks._replace(chain=chain_ids)
    names = recording.types
    samples = [
        (events, recording.payloads[names[events.type]], recording.count(names[events.type]))
        for events in events_by_type(recording, walks)
    ]
    payloads.learn(samples, int(chain_ids.max()) + 1)


def _merge_walks(group: Sequence[Learned]) -> Walks:
    return Walks(*map(np.concatenate, zip(*(fit.walks for fit in group), strict=True)))


def _with_variables(chain: Chain, payloads: Payloads) -> Chain:
    variables: dict[str, Variable] = {}
    for state in chain.states.values():
        variables |= payloads.variables.get(state.emits, {})
    return replace(chain, variables=variables)


def _weighted(chains: Sequence[Chain]) -> list[Chain]:
    shares = percentages([int(chain.weight) for chain in chains])
    return [replace(chain, weight=share) for chain, share in zip(chains, shares, strict=True)]


def _emitted(walks: Walks) -> Iterator[tuple[int, int]]:
    """Type ids and how many events have each."""
    type_ids, counts = np.unique(walks.type, return_counts=True)
    return zip(type_ids.tolist(), counts.tolist(), strict=True)


def _event(type_id: int, recording: Recording, payloads: Payloads) -> EventType:
    name = list(recording.types)[type_id]
    (_, source, version), _ = _sources(type_id, recording)[0]
    return EventType(name=name, source=source, schema_version=version, payload=payloads.fields[name])


def _sources(type_id: int, recording: Recording) -> list[tuple[tuple[int, str, str], int]]:
    """((type id, source, schema version), count), the most frequent first."""
    return [(key, count) for key, count in recording.emitted.most_common() if key[0] == type_id]


def _other_sources(type_id: int, recording: Recording) -> list[str]:
    others = _sources(type_id, recording)[1:]
    return [f"also from {source} {version}: {count:,}" for (_, source, version), count in others[:3]]


def _represented_notes(recording: Recording, walks: Walks, name: str) -> Iterator[str]:
    starts = np.sort(walks.time[walks.first])
    begin, end = (format_timestamp(EPOCH + timedelta(microseconds=int(walks.time[i]))) for i in _size_range(walks))
    yield f"Learned from {name}: {walks.rows.size:,} events of {walks.chains:,} chains, {begin} to {end}."
    seconds = float(starts[-1] - starts[0]) / 1e6
    if starts.size > 1 and seconds > 0:
        yield f"Chains begin {(starts.size - 1) / seconds:.4g} times a second on average (--rate)."
    yield "Tenants: " + _tenant_shares(recording) + "."


def _size_range(walks: Walks) -> tuple[int, int]:
    return int(np.argmin(walks.time)), int(np.argmax(walks.time))


def _tenant_shares(recording: Recording) -> str:
    total = recording.tenants.total()
    shares = [
        f"{tenant} ({namespace}) {count / total:.1%}"
        for (tenant, namespace), count in recording.tenants.most_common(MAX_TENANTS)
        if count >= MIN_TENANT_SHARE * total
    ]
    unnamed = len(recording.tenants) - len(shares)
    return ", ".join(shares) + (f" and {unnamed:,} more" if unnamed else "")


def _left_out_notes(recording: Recording, trees: CausalTrees, left_out: Counter[str]) -> Iterator[str]:
    """Sentences about what was read and not learned."""
    names = list(recording.types)
    for problem, count in recording.unread.most_common():
        yield f"Left out: {count:,} of {recording.lines:,} lines are not events: {problem}."
    if trees.copies:
        yield f"Left out: {trees.copies:,} events repeated an id."
    for reason, count in (trees.broken + left_out).most_common():
        yield f"Left out: {count:,} chains {reason}."
    if trees.beside:
        types = ", ".join(f"{names[type_id]} {count:,}" for type_id, count in trees.beside.most_common(5))
        yield (
            f"Left out: {trees.beside.total():,} events of {trees.branched:,} chains in which one event caused"
            f" several; the path to the latest event was learned. Left out were {types}."
        )
