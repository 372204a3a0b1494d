"""Guessed chains: what starts, what goes on and what ends, by the words of event types."""

from __future__ import annotations

import re
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any

from eventbus.catalog.errors import Location
from eventbus.catalog.model import (
    Chain,
    Delay,
    EventType,
    LogNormal,
    Outcome,
    PayloadField,
    State,
    Transition,
    Uniform,
    Variable,
)
from eventbus.catalog.validation import event_name

# Words of event types: what begins something, what ends it well, and what ends it badly.


BEGINNINGS = {
    *("requested", "created", "submitted", "placed", "opened", "initiated", "received", "registered", "scheduled"),
    *("queued", "ordered", "invited", "triggered", "request", "create", "submit", "command", "asked", "added", "new"),
}
CONTINUATIONS = {
    *("started", "accepted", "approved", "assigned", "authorized", "authorised", "confirmed", "dispatched", "packed"),
    *("processed", "processing", "progressed", "progress", "reserved", "retried", "running", "shipped", "updated"),
    *("validated", "verified", "paid", "changed", "routed", "prepared", "picked", "captured", "allocated"),
}
SUCCESSES = {
    *("completed", "succeeded", "finished", "closed", "delivered", "ended", "done", "fulfilled", "resolved", "success"),
    *("response", "responded", "replied", "result", "reply", "settled", "stored", "published", "archived", "answered"),
}
FAILURES = {
    *("failed", "rejected", "cancelled", "canceled", "declined", "expired", "timed_out", "timeout", "aborted", "error"),
    *("denied", "refused", "lost", "returned", "refunded", "abandoned", "errored", "crashed", "failure", "voided"),
    *("bounced", "violated", "reverted", "compensated", "dropped"),
}


def is_failure(action: str) -> bool:
    """Whether an event of this action (`payment_failed`, `timed-out`) ends its chain badly."""
    parts = re.split(r"[-_]", action)
    return not FAILURES.isdisjoint([action.replace("-", "_"), *parts])


# Names that a catalog takes, from names that it would not.


def words(name: str) -> list[str]:
    """The words of a name, in lower case, however they are joined: `userSignedUp`, `user-signed.up`, `HTTPError`."""
    parted = re.sub(r"([a-z0-9])([A-Z])|([A-Z]+)([A-Z][a-z])", r"\1\3 \2\4", name)
    return [word.lower() for word in re.findall(r"[A-Za-z0-9]+", parted)]


def slug(name: str, joint: str = "_") -> str:
    """A name of a chain or a list: words that begin with a letter."""
    text = joint.join(words(name))
    return re.sub(r"^[^a-z]+", "", text) or "value"


def unique_name(name: str, taken: Container[str]) -> str:
    """The name, with a number behind it if there is one already."""
    if name not in taken:
        return name
    number = 2
    while f"{name}-{number}" in taken:
        number += 1
    return f"{name}-{number}"


# Event types as a catalog names them, from whatever a document calls its messages.


FILLER_WORDS = {
    "event",
    "message",
    "msg",
    "payload",
    "schema",
    "dto",
    "data",
    "envelope",
    "notification",
    "topic",
    "json",
}
ACTIONS = BEGINNINGS | CONTINUATIONS | SUCCESSES | FAILURES
VERSION = re.compile(r"v?(\d+)([._]\d+)*")


def event_type_name(name: str, organisation: str, taken: Container[str] = ()) -> str:
    """`OrderCreated` → `shop.order.created.v1`; a name that a catalog takes stays as it is.

    Args:
        name: as the document has it.
        organisation: the first word, where the name has none.
        taken: names of other event types.
    """
    if event_name.fullmatch(name):
        return name
    version, rest = _split_version(name)
    parts = [word for word in words(rest) if not word.isdecimal()]
    parts = [word for word in parts if word not in FILLER_WORDS] or parts or ["event"]
    dotted = [".".join(words(part)) for part in re.split(r"[./:]", rest) if words(part)]
    entity, action = _entity_and_action(parts)
    if len(dotted) > 2 and dotted[0] in {"com", "org", "io", "net", "de"}:
        entity = entity[1:]  # a reversed domain name
    organisation = "my" if [organisation] == entity else organisation
    first = [organisation] if len(entity) < 2 or len(dotted) < 3 else []
    made = ".".join([*first, *(_as_word(one) for one in entity), _as_word("_".join(action))])
    number = 1
    while (found := f"{made}{'' if number == 1 else f'-{number}'}.v{version}") in taken:
        number += 1
    return found


def organisation_name(title: str) -> str:
    """The first word of event types, from the title of a document: at most two words of it."""
    parts = [
        word for word in words(title) if word not in FILLER_WORDS | {"api", "service", "the", "asyncapi", "example"}
    ]
    return _as_word("-".join(parts[:2]) or "my")


def _entity_and_action(parts: list[str]) -> tuple[list[str], list[str]]:
    """What it is about, and what happened to it."""
    if len(parts) > 1 and parts[0] in {"create", "request", "submit", "command"}:
        return parts[1:], parts[:1]
    for at in range(1, len(parts)):
        if parts[at] in ACTIONS or parts[at].endswith("ed"):
            return parts[:at], parts[at:]
    return (parts[:-1], parts[-1:]) if len(parts) > 1 else (parts, ["recorded"])


def _split_version(name: str) -> tuple[int, str]:
    """The major version that a name ends with, and the name without it."""
    found = re.search(r"[._/ -]v(\d+)(?:[._]\d+)*$|(?<=[a-z])V(\d+)$", name)
    if found is None:
        return 1, name
    return max(int(found[1] or found[2]), 1), name[: found.start()]


def _as_word(text: str) -> str:
    return text if re.match(r"[a-z]", text) else f"x{text}"


STEP_DELAY: Delay = Uniform(minimum=20, maximum=200)
OUTCOME_DELAY: Delay = LogNormal(median=400, p95=2000, maximum=30_000)
FAILED_PERCENT = 10
"""Percent of the chains of which a bad end is known."""
VARYING_FIELDS = {
    "status",
    "state",
    "reason",
    "error",
    "message",
    "description",
    "result",
    "note",
    "timestamp",
    "at",
    "date",
}
"""Last words of fields that differ from event to event of a chain."""
IDENTIFYING_FIELDS = {"id", "uuid", "guid", "key", "ref", "reference", "number", "no", "code", "email", "currency"}
"""Last words of fields that tell things apart, and so are the same in a chain."""
GUESS = "verify: a guess"


@dataclass
class ChainInference:
    """Chains for event types that belong to none."""

    events: dict[str, EventType]
    lists: dict[str, tuple[Any, ...]]
    chains: dict[str, Chain] = field(default_factory=dict)
    notes: dict[Location, list[str]] = field(default_factory=dict)

    def guess(self) -> None:
        """One chain for each domain, or for each thing in it of which a beginning is known."""
        for group in _chain_groups(list(self.events)):
            self._chain(group)

    def _chain(self, types: list[str]) -> None:
        begin, steps, good, bad = _classify(types)
        if begin is None:
            begin = self._invented((good or bad)[0], "requested")
        if not good and len(steps) > 0:
            good = [steps.pop()]
        if not good:
            good = [self._invented(begin, "completed")]
        name = unique_name(slug("-".join(begin.split(".")[1:-2]), "-"), self.chains)
        every = [begin, *steps, *good, *bad]
        labels = dict(zip(every, _state_names(every), strict=True))
        states = dict(self._states(name, [begin, *steps], good, bad, labels))
        variables = self._shared(every)
        self.chains[name] = Chain(name=name, weight=1, start=labels[begin], states=states, variables=variables)
        self._note(("chains", name, "weight"), "verify: all chains are alike")

    def _states(
        self, chain: str, path: list[str], good: list[str], bad: list[str], labels: Mapping[str, str]
    ) -> Iterator[tuple[str, State]]:
        for here, there in pairwise(path):
            step = Transition(to=labels[there], delay=STEP_DELAY, weight=100)
            yield labels[here], State(name=labels[here], emits=here, next=(step,))
            self._note(("chains", chain, "states", labels[here], "next", 0), GUESS)
        shares = [
            *_split_evenly(100 - FAILED_PERCENT if bad else 100, len(good)),
            *_split_evenly(FAILED_PERCENT, len(bad)),
        ]
        ends = [(end, outcome) for names, outcome in ((good, "completed"), (bad, "failed")) for end in names]
        last = labels[path[-1]]
        ways = (
            Transition(to=labels[end], delay=OUTCOME_DELAY, weight=share)
            for (end, _), share in zip(ends, shares, strict=True)
        )
        yield last, State(name=last, emits=path[-1], next=tuple(ways))
        for index, (end, outcome) in enumerate(ends):
            kind: Outcome = "failed" if outcome == "failed" else "completed"
            self._note(("chains", chain, "states", last, "next", index), GUESS)
            yield labels[end], State(name=labels[end], emits=end, outcome=kind)

    def _invented(self, other: str, action: str) -> str:
        """An event that the document does not have, beside one that it has: a chain has at least two."""
        stem, version = other.rsplit(".", 2)[0], other.rsplit(".", 1)[1]
        name = unique_name(f"{stem}.{action}", [kind.rsplit(".", 1)[0] for kind in self.events]) + f".{version}"
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
        identifies = _last_word(first) in IDENTIFYING_FIELDS and all(one.type == first.type for one in every)
        if not identifies and any(_source(one) != _source(first) for one in every):
            return None
        name = unique_name(slug(first.name), taken)
        if first.minimum is not None:
            return Variable(name=name, minimum=int(first.minimum), maximum=int(first.maximum or 0))
        items = first.pick
        if items is None:
            items = name if self.lists.get(name, first.choices) == first.choices else unique_name(name, self.lists)
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

    def _note(self, place: Location, note: str) -> None:
        self.notes.setdefault(place, []).append(note)


def _chain_groups(types: list[str]) -> Iterator[list[str]]:
    """By domain; by all words before the action where several things of a domain begin."""
    domains: dict[str, list[str]] = {}
    for kind in types:
        domains.setdefault(".".join(kind.split(".")[:2]), []).append(kind)
    for group in domains.values():
        things: dict[str, list[str]] = {}
        for kind in group:
            things.setdefault(kind.rsplit(".", 2)[0], []).append(kind)
        alone = [one for one in things.values() if len(one) > 1 and any(_has_action(kind, BEGINNINGS) for kind in one)]
        yield from things.values() if len(alone) == len(things) else [group]


def _classify(types: list[str]) -> tuple[str | None, list[str], list[str], list[str]]:
    """What begins a chain (if anything does), the steps, the good ends and the bad ends.

    Of good ends, those of other things than the last one are steps: an order is paid, packed, delivered.
    """
    bad = [kind for kind in types if is_failure(kind.split(".")[-2])]
    good = [kind for kind in types if kind not in bad and _has_action(kind, SUCCESSES)]
    good = [kind for kind in good if kind.rsplit(".", 2)[0] == good[-1].rsplit(".", 2)[0]]
    others = [kind for kind in types if kind not in bad and kind not in good]
    begin = next((kind for kind in others if _has_action(kind, BEGINNINGS)), next(iter(others), None))
    return begin, [kind for kind in others if kind != begin], good, bad


def _has_action(kind: str, actions: set[str]) -> bool:
    action = kind.split(".")[-2]
    return action in actions or not actions.isdisjoint(words(action))


def _state_names(types: Sequence[str]) -> list[str]:
    """A state for each type, named by its action, with the word before it where that is not enough."""
    actions = [kind.split(".")[-2] for kind in types]
    found: list[str] = []
    for kind, action in zip(types, actions, strict=True):
        found.append(unique_name(action if actions.count(action) == 1 else "-".join(kind.split(".")[-3:-1]), found))
    return found


def _split_evenly(total: float, count: int) -> list[float]:
    """A total in so many whole parts, or nearly."""
    return [total // count + (index < total % count) for index in range(count)]


def _may_be_shared(one: PayloadField) -> bool:
    if _last_word(one) in VARYING_FIELDS or one.fields is not None or one.type in {"array", "object", "boolean"}:
        return False
    if one.minimum is not None:
        return one.type == "integer" and _last_word(one) in IDENTIFYING_FIELDS
    return one.pick is not None or one.choices is not None


def _last_word(one: PayloadField) -> str:
    return (words(one.name) or [""])[-1]


NO_SOURCE: dict[str, Any] = {
    **dict.fromkeys(("value", "choices", "pick", "minimum", "maximum"), None),
    **{"elapsed": False, "decimals": 0},
}


def _source(one: PayloadField) -> tuple[Any, ...]:
    return one.type, one.choices, one.pick, one.minimum, one.maximum
