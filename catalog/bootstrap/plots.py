"""Guessed chains: what starts, what goes on and what ends, by the words of event types."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any

from eventbus.catalog.bootstrap.names import dashed, unique, words
from eventbus.catalog.bootstrap.words import BEGINS, ENDS_WELL, is_failure
from eventbus.catalog.model import Chain, Outcome, State, Transition, Variable
from eventbus.catalog.model_delays import Delay, LogNormal, Uniform
from eventbus.catalog.model_events import EventType, PayloadField
from eventbus.catalog.words import Place

SOON: Delay = Uniform(minimum=20, maximum=200)
LATER: Delay = LogNormal(median=400, p95=2000, maximum=30_000)
FAILING = 10
"""Percent of the chains of which a bad end is known."""
VARYING = {"status", "state", "reason", "error", "message", "description", "result", "note", "timestamp", "at", "date"}
"""Last words of fields that differ from event to event of a chain."""
IDENTIFYING = {"id", "uuid", "guid", "key", "ref", "reference", "number", "no", "code", "email", "currency"}
"""Last words of fields that tell things apart, and so are the same in a chain."""
GUESS = "verify: a guess"


@dataclass
class Plot:
    """Chains for event types that belong to none."""

    events: dict[str, EventType]
    lists: dict[str, tuple[Any, ...]]
    chains: dict[str, Chain] = field(default_factory=dict)
    notes: dict[Place, list[str]] = field(default_factory=dict)

    def guess(self) -> None:
        """One chain for each domain, or for each thing in it of which a beginning is known."""
        for group in _groups(list(self.events)):
            self._chain(group)

    def _chain(self, types: list[str]) -> None:
        begin, steps, good, bad = _cast(types)
        if begin is None:
            begin = self._invented((good or bad)[0], "requested")
        if not good and len(steps) > 0:
            good = [steps.pop()]
        if not good:
            good = [self._invented(begin, "completed")]
        name = unique(dashed("-".join(begin.split(".")[1:-2]), "-"), self.chains)
        every = [begin, *steps, *good, *bad]
        labels = dict(zip(every, _labels(every), strict=True))
        states = dict(self._states(name, [begin, *steps], good, bad, labels))
        variables = self._shared(every)
        self.chains[name] = Chain(name=name, weight=1, start=labels[begin], states=states, variables=variables)
        self._note(("chains", name, "weight"), "verify: all chains are alike")

    def _states(
        self, chain: str, path: list[str], good: list[str], bad: list[str], labels: Mapping[str, str]
    ) -> Iterator[tuple[str, State]]:
        for here, there in pairwise(path):
            step = Transition(to=labels[there], delay=SOON, weight=100)
            yield labels[here], State(name=labels[here], emits=here, next=(step,))
            self._note(("chains", chain, "states", labels[here], "next", 0), GUESS)
        shares = [*_parts(100 - FAILING if bad else 100, len(good)), *_parts(FAILING, len(bad))]
        ends = [(end, outcome) for names, outcome in ((good, "completed"), (bad, "failed")) for end in names]
        last = labels[path[-1]]
        ways = (
            Transition(to=labels[end], delay=LATER, weight=share) for (end, _), share in zip(ends, shares, strict=True)
        )
        yield last, State(name=last, emits=path[-1], next=tuple(ways))
        for index, (end, outcome) in enumerate(ends):
            kind: Outcome = "failed" if outcome == "failed" else "completed"
            self._note(("chains", chain, "states", last, "next", index), GUESS)
            yield labels[end], State(name=labels[end], emits=end, outcome=kind)

    def _invented(self, other: str, action: str) -> str:
        """An event that the document does not have, beside one that it has: a chain has at least two."""
        stem, version = other.rsplit(".", 2)[0], other.rsplit(".", 1)[1]
        name = unique(f"{stem}.{action}", [kind.rsplit(".", 1)[0] for kind in self.events]) + f".{version}"
        known = [one for one in self.events[other].payload if _may_be_shared(one)]
        elapsed = PayloadField(name="duration_ms", type="integer", elapsed=True)
        payload = (*known, elapsed) if action == "completed" else tuple(known)
        self.events[name] = EventType(name=name, source=self.events[other].source, payload=payload)
        self._note(("events", name), "verify: invented, because a chain has at least two events")
        return name

    def _shared(self, types: Sequence[str]) -> dict[str, Variable]:
        """Make variables of the fields that several events of a chain have under the same name."""
        found: dict[str, list[PayloadField]] = {}
        for kind in types:
            for one in self.events[kind].payload:
                if _may_be_shared(one):
                    found.setdefault(one.name, []).append(one)
        variables: dict[str, Variable] = {}
        for name, every in found.items():
            variable = self._variable(every, variables) if len(every) > 1 else None
            if variable is not None:
                variables[variable.name] = variable
                self._take(types, name, variable.name)
        return variables

    def _variable(self, every: Sequence[PayloadField], taken: Mapping[str, Variable]) -> Variable | None:
        """None if the fields do not agree on their values; of what identifies something, those of the first count."""
        first = every[0]
        identifies = _last(first) in IDENTIFYING and all(one.type == first.type for one in every)
        if not identifies and any(_source(one) != _source(first) for one in every):
            return None
        name = unique(dashed(first.name), taken)
        if first.minimum is not None:
            return Variable(name=name, minimum=int(first.minimum), maximum=int(first.maximum or 0))
        items = first.pick
        if items is None:
            items = name if self.lists.get(name, first.choices) == first.choices else unique(name, self.lists)
            self.lists[items] = first.choices or ()
        return Variable(name=name, list=items)

    def _take(self, types: Sequence[str], name: str, variable: str) -> None:
        for kind in types:
            fields = (
                replace(one, **NO_SOURCE, var=variable) if one.name == name else one
                for one in self.events[kind].payload
            )
            self.events[kind] = replace(self.events[kind], payload=tuple(fields))
            if any(one.name == name for one in self.events[kind].payload):
                self._note(("events", kind, "payload", name), "verify: the same in the whole chain")

    def _note(self, place: Place, note: str) -> None:
        self.notes.setdefault(place, []).append(note)


def _groups(types: list[str]) -> Iterator[list[str]]:
    """By domain; by all words before the action where several things of a domain begin."""
    domains: dict[str, list[str]] = {}
    for kind in types:
        domains.setdefault(".".join(kind.split(".")[:2]), []).append(kind)
    for group in domains.values():
        things: dict[str, list[str]] = {}
        for kind in group:
            things.setdefault(kind.rsplit(".", 2)[0], []).append(kind)
        alone = [one for one in things.values() if len(one) > 1 and any(_has(kind, BEGINS) for kind in one)]
        yield from things.values() if len(alone) == len(things) else [group]


def _cast(types: list[str]) -> tuple[str | None, list[str], list[str], list[str]]:
    """What begins a chain (if anything does), the steps, the good ends and the bad ends.

    Of good ends, those of other things than the last one are steps: an order is paid, packed, delivered.
    """
    bad = [kind for kind in types if is_failure(kind.split(".")[-2])]
    good = [kind for kind in types if kind not in bad and _has(kind, ENDS_WELL)]
    good = [kind for kind in good if kind.rsplit(".", 2)[0] == good[-1].rsplit(".", 2)[0]]
    others = [kind for kind in types if kind not in bad and kind not in good]
    begin = next((kind for kind in others if _has(kind, BEGINS)), next(iter(others), None))
    return begin, [kind for kind in others if kind != begin], good, bad


def _has(kind: str, actions: set[str]) -> bool:
    action = kind.split(".")[-2]
    return action in actions or not actions.isdisjoint(words(action))


def _labels(types: Sequence[str]) -> list[str]:
    """A state for each type, named by its action, with the word before it where that is not enough."""
    actions = [kind.split(".")[-2] for kind in types]
    found: list[str] = []
    for kind, action in zip(types, actions, strict=True):
        found.append(unique(action if actions.count(action) == 1 else "-".join(kind.split(".")[-3:-1]), found))
    return found


def _parts(total: float, count: int) -> list[float]:
    """A total in so many whole parts, or nearly."""
    return [total // count + (index < total % count) for index in range(count)]


def _may_be_shared(one: PayloadField) -> bool:
    if _last(one) in VARYING or one.fields is not None or one.type in {"array", "object", "boolean"}:
        return False
    if one.minimum is not None:
        return one.type == "integer" and _last(one) in IDENTIFYING
    return one.pick is not None or one.choices is not None


def _last(one: PayloadField) -> str:
    return (words(one.name) or [""])[-1]


NO_SOURCE: dict[str, Any] = {
    **dict.fromkeys(("value", "choices", "pick", "minimum", "maximum"), None),
    **{"elapsed": False, "decimals": 0},
}


def _source(one: PayloadField) -> tuple[Any, ...]:
    return one.type, one.choices, one.pick, one.minimum, one.maximum
