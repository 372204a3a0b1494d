"""Infers chains from event types: which begins, continues or ends a chain, judged by the words in their names."""

from __future__ import annotations

import re
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from dataclasses import field as dataclass_field
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
from eventbus.catalog.sources import Choices, ElapsedTime, ListPick, NumberRange, VariableValue
from eventbus.catalog.validation import event_name

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
    """Whether an event with this action (`payment_failed`, `timed-out`) fails its chain."""
    parts = re.split(r"[-_]", action)
    return not FAILURES.isdisjoint([action.replace("-", "_"), *parts])


def words(name: str) -> list[str]:
    """Splits a name into lower-case words: `userSignedUp`, `user-signed.up`, `HTTPError`."""
    separated = re.sub(r"([a-z0-9])([A-Z])|([A-Z]+)([A-Z][a-z])", r"\1\3 \2\4", name)
    return [word.lower() for word in re.findall(r"[A-Za-z0-9]+", separated)]


def slug(name: str, joint: str = "_") -> str:
    """A valid name of a chain or list: words joined, beginning with a letter."""
    text = joint.join(words(name))
    return re.sub(r"^[^a-z]+", "", text) or "value"


def unique_name(name: str, taken: Container[str]) -> str:
    """The name, with a number appended if it is taken."""
    if name not in taken:
        return name
    number = 2
    while f"{name}-{number}" in taken:
        number += 1
    return f"{name}-{number}"


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
    """Turns a message name into an event type: `OrderCreated` becomes `shop.order.created.v1`.

    Args:
        name: the name in the document; a valid event type is returned unchanged.
        organisation: first word of the event type, unless the name has one.
        taken: event types that exist already.
    """
    if event_name.fullmatch(name):
        return name
    version, stem = _split_version(name)
    parts = [word for word in words(stem) if not word.isdecimal()]
    parts = [word for word in parts if word not in FILLER_WORDS] or parts or ["event"]
    dotted = [".".join(words(part)) for part in re.split(r"[./:]", stem) if words(part)]
    entity, action = _entity_and_action(parts)
    if len(dotted) > 2 and dotted[0] in {"com", "org", "io", "net", "de"}:
        entity = entity[1:]  # a reversed domain name
    organisation = "my" if [organisation] == entity else organisation
    prefix = [organisation] if len(entity) < 2 or len(dotted) < 3 else []
    base = ".".join([*prefix, *(_as_word(word) for word in entity), _as_word("_".join(action))])
    number = 1
    while (event_type := f"{base}{'' if number == 1 else f'-{number}'}.v{version}") in taken:
        number += 1
    return event_type


def organisation_name(title: str) -> str:
    """The first word of event types: at most two words of the document's title."""
    parts = [
        word for word in words(title) if word not in FILLER_WORDS | {"api", "service", "the", "asyncapi", "example"}
    ]
    return _as_word("-".join(parts[:2]) or "my")


def _entity_and_action(parts: list[str]) -> tuple[list[str], list[str]]:
    """Splits words into the entity and the action."""
    if len(parts) > 1 and parts[0] in {"create", "request", "submit", "command"}:
        return parts[1:], parts[:1]
    for index in range(1, len(parts)):
        if parts[index] in ACTIONS or parts[index].endswith("ed"):
            return parts[:index], parts[index:]
    return (parts[:-1], parts[-1:]) if len(parts) > 1 else (parts, ["recorded"])


def _split_version(name: str) -> tuple[int, str]:
    """Splits the major version off the end of a name; 1 if it has none."""
    match = re.search(r"[._/ -]v(\d+)(?:[._]\d+)*$|(?<=[a-z])V(\d+)$", name)
    if match is None:
        return 1, name
    return max(int(match[1] or match[2]), 1), name[: match.start()]


def _as_word(text: str) -> str:
    return text if re.match(r"[a-z]", text) else f"x{text}"


STEP_DELAY: Delay = Uniform(minimum=20, maximum=200)
OUTCOME_DELAY: Delay = LogNormal(median=400, p95=2000, maximum=30_000)
FAILED_PERCENT = 10
"""Percentage of failed chains, where a failing event is known."""
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
"""Last words of fields whose values differ between the events of a chain."""
IDENTIFYING_FIELDS = {"id", "uuid", "guid", "key", "ref", "reference", "number", "no", "code", "email", "currency"}
"""Last words of fields that identify something, and so have one value in a chain."""
GUESS = "verify: a guess"


@dataclass
class ChainInference:
    """Infers chains for event types that belong to none.

    Attributes:
        events: the event types; invented ones are added.
        lists: lists of the catalog; those of variables are added.
        chains: known chains; inferred ones are added.
        notes: comments by location in the catalog.
    """

    events: dict[str, EventType]
    lists: dict[str, tuple[Any, ...]]
    chains: dict[str, Chain] = dataclass_field(default_factory=dict)
    notes: dict[Location, list[str]] = dataclass_field(default_factory=dict)

    def infer(self) -> None:
        """Adds a chain for each domain, or for each entity of it that has a beginning."""
        for group in _chain_groups(list(self.events)):
            self._chain(group)

    def _chain(self, types: list[str]) -> None:
        begin, steps, completed, failed = _classify(types)
        if begin is None:
            begin = self._invent((completed or failed)[0], "requested")
        if not completed and len(steps) > 0:
            completed = [steps.pop()]
        if not completed:
            completed = [self._invent(begin, "completed")]
        name = unique_name(slug("-".join(begin.split(".")[1:-2]), "-"), self.chains)
        members = [begin, *steps, *completed, *failed]
        labels = dict(zip(members, _state_names(members), strict=True))
        states = dict(self._states(name, [begin, *steps], completed, failed, labels))
        variables = self._share_fields(members)
        self.chains[name] = Chain(name=name, weight=1, start=labels[begin], states=states, variables=variables)
        self._note(("chains", name, "weight"), "verify: all chains have the same weight")

    def _states(
        self, chain: str, path: list[str], completed: list[str], failed: list[str], labels: Mapping[str, str]
    ) -> Iterator[tuple[str, State]]:
        for source, target in pairwise(path):
            step = Transition(to=labels[target], delay=STEP_DELAY, weight=100)
            yield labels[source], State(name=labels[source], emits=source, next=(step,))
            self._note(("chains", chain, "states", labels[source], "next", 0), GUESS)
        failed_percent = FAILED_PERCENT if failed else 0
        shares = [*_split_evenly(100 - failed_percent, len(completed)), *_split_evenly(failed_percent, len(failed))]
        outcomes: list[tuple[str, Outcome]] = [
            *((event_type, "completed") for event_type in completed),
            *((event_type, "failed") for event_type in failed),
        ]
        last = labels[path[-1]]
        transitions = (
            Transition(to=labels[event_type], delay=OUTCOME_DELAY, weight=share)
            for (event_type, _), share in zip(outcomes, shares, strict=True)
        )
        yield last, State(name=last, emits=path[-1], next=tuple(transitions))
        for index, (event_type, outcome) in enumerate(outcomes):
            self._note(("chains", chain, "states", last, "next", index), GUESS)
            yield labels[event_type], State(name=labels[event_type], emits=event_type, outcome=outcome)

    def _invent(self, sibling: str, action: str) -> str:
        """Adds an event that the document does not have, next to one that it has: a chain has at least two events."""
        stem, version = sibling.rsplit(".", 2)[0], sibling.rsplit(".", 1)[1]
        taken = [event_type.rsplit(".", 1)[0] for event_type in self.events]
        name = unique_name(f"{stem}.{action}", taken) + f".{version}"
        shared = [field for field in self.events[sibling].payload if _may_be_shared(field)]
        elapsed = PayloadField(name="duration_ms", type="integer", source=ElapsedTime())
        payload = (*shared, elapsed) if action == "completed" else tuple(shared)
        self.events[name] = EventType(name=name, source=self.events[sibling].source, payload=payload)
        self._note(("events", name), "verify: invented, because a chain has at least two events")
        return name

    def _share_fields(self, types: Sequence[str]) -> dict[str, Variable]:
        """Makes variables of the fields that several events of a chain have under the same name."""
        fields_by_name: dict[str, list[PayloadField]] = {}
        for event_type in types:
            for field in self.events[event_type].payload:
                if _may_be_shared(field):
                    fields_by_name.setdefault(field.name, []).append(field)
        variables: dict[str, Variable] = {}
        for name, fields in fields_by_name.items():
            variable = self._variable(fields, variables) if len(fields) > 1 else None
            if variable is not None:
                variables[variable.name] = variable
                self._use_variable(types, name, variable.name)
        return variables

    def _variable(self, fields: Sequence[PayloadField], taken: Mapping[str, Variable]) -> Variable | None:
        """A variable for fields of one name; None if they disagree on their values.

        Identifying fields need only have the same type; they get the values of the first.
        """
        first = fields[0]
        identifies = _last_word(first) in IDENTIFYING_FIELDS and all(field.type == first.type for field in fields)
        if not identifies and any((field.type, field.source) != (first.type, first.source) for field in fields):
            return None
        name = unique_name(slug(first.name), taken)
        match first.source:
            case NumberRange(int() | float() as minimum, int() | float() as maximum):
                return Variable(name=name, minimum=int(minimum), maximum=int(maximum))
            case ListPick(reference, (), False):
                items = reference
            case Choices(choices):
                items = name if self.lists.get(name, choices) == choices else unique_name(name, self.lists)
                self.lists[items] = choices
            case _:
                return None
        return Variable(name=name, list=items)

    def _use_variable(self, types: Sequence[str], name: str, variable: str) -> None:
        for event_type in types:
            event = self.events[event_type]
            if any(field.name == name for field in event.payload):
                fields = (
                    replace(field, source=VariableValue(variable)) if field.name == name else field
                    for field in event.payload
                )
                self.events[event_type] = replace(event, payload=tuple(fields))
                self._note(("events", event_type, "payload", name), "verify: the same in the whole chain")

    def _note(self, location: Location, note: str) -> None:
        self.notes.setdefault(location, []).append(note)


def _chain_groups(types: list[str]) -> Iterator[list[str]]:
    """Event types of one chain: those of a domain, or of one entity if every entity of the domain has a beginning."""
    domains: dict[str, list[str]] = {}
    for event_type in types:
        domains.setdefault(".".join(event_type.split(".")[:2]), []).append(event_type)
    for group in domains.values():
        entities: dict[str, list[str]] = {}
        for event_type in group:
            entities.setdefault(event_type.rsplit(".", 2)[0], []).append(event_type)
        are_chains = all(
            len(members) > 1 and any(_has_action(member, BEGINNINGS) for member in members)
            for members in entities.values()
        )
        yield from entities.values() if are_chains else [group]


def _classify(types: list[str]) -> tuple[str | None, list[str], list[str], list[str]]:
    """What begins the chain (if anything does), the steps, and what completes or fails it.

    Of the events that complete something, only those of the same entity as the last one end the chain; the others are
    steps: an order is paid, packed, delivered.
    """
    failed = [name for name in types if is_failure(name.split(".")[-2])]
    completed = [name for name in types if name not in failed and _has_action(name, SUCCESSES)]
    completed = [name for name in completed if name.rsplit(".", 2)[0] == completed[-1].rsplit(".", 2)[0]]
    steps = [name for name in types if name not in failed and name not in completed]
    begin = next((name for name in steps if _has_action(name, BEGINNINGS)), next(iter(steps), None))
    return begin, [name for name in steps if name != begin], completed, failed


def _has_action(event_type: str, actions: set[str]) -> bool:
    action = event_type.split(".")[-2]
    return action in actions or not actions.isdisjoint(words(action))


def _state_names(types: Sequence[str]) -> list[str]:
    """Names states after the actions of their event types, with the word before where that is ambiguous."""
    actions = [name.split(".")[-2] for name in types]
    names: list[str] = []
    for name, action in zip(types, actions, strict=True):
        names.append(unique_name(action if actions.count(action) == 1 else "-".join(name.split(".")[-3:-1]), names))
    return names


def _split_evenly(total: float, count: int) -> list[float]:
    """Splits a total into whole parts that differ by at most 1."""
    return [total // count + (index < total % count) for index in range(count)]


def _may_be_shared(field: PayloadField) -> bool:
    if _last_word(field) in VARYING_FIELDS or field.fields is not None or field.type in {"array", "object", "boolean"}:
        return False
    if isinstance(field.source, NumberRange):
        bounds = field.source.bounds
        return None not in bounds and field.type == "integer" and _last_word(field) in IDENTIFYING_FIELDS
    return isinstance(field.source, ListPick | Choices)


def _last_word(field: PayloadField) -> str:
    return (words(field.name) or [""])[-1]
