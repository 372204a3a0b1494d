"""Writes a catalog as YAML for people: the inverse of the loader, with comments and short values on one line."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from eventbus.catalog.catalog import Catalog
from eventbus.catalog.errors import Location
from eventbus.catalog.model import (
    Backoff,
    Behaviour,
    CausedChain,
    Chain,
    Click,
    Delay,
    EventType,
    Exponential,
    Fixed,
    Fork,
    Journey,
    Page,
    PayloadField,
    Range,
    Retry,
    State,
    Stop,
    Target,
    Transition,
    Uniform,
    Variable,
    Visitors,
)
from eventbus.catalog.reading.chains import RANGES


def delay_document(delay: Delay) -> dict[str, Any]:
    """A delay as a catalog file has it."""
    if isinstance(delay, Fixed):
        return {"fixed": delay.value}
    if isinstance(delay, Uniform):
        return {"uniform": [delay.minimum, delay.maximum]}
    bounds = {"min": delay.minimum} | ({} if delay.maximum is None else {"max": delay.maximum})
    if isinstance(delay, Exponential):
        return {"exponential": {"mean": delay.mean, **bounds}}
    return {"lognormal": {"median": delay.median, "p95": delay.p95, **bounds}}


PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_./+-]*(?: [A-Za-z0-9_./+-]+)*")
"""Texts that need no quotes, even in flow style."""
RESERVED = {"true", "false", "null", "yes", "no", "on", "off", "y", "n"}
"""Texts that YAML 1.1 or 1.2 reads as a boolean or null."""
ESCAPES = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\t": "\\t", "\r": "\\r"}


def flow(value: Any) -> str:
    """A JSON value in flow style, read alike by YAML 1.1 and 1.2: `{uniform: [50, 150]}`."""
    if isinstance(value, dict):
        members = ", ".join(f"{text(str(key))}: {flow(inner)}" for key, inner in value.items())
        return f"{{{members}}}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(flow, value))}]"
    if isinstance(value, str):
        return text(value)
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    return number(value)


def text(value: str) -> str:
    """A text, quoted where it could be read as something else."""
    if PLAIN.fullmatch(value) and value.lower() not in RESERVED:
        return value
    return f'"{"".join(map(_escaped, value))}"'


def number(value: float) -> str:
    """A number; integral ones have no fraction."""
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return str(int(value))
    return repr(value)


def _escaped(character: str) -> str:
    if character in ESCAPES:
        return ESCAPES[character]
    if character.isprintable():
        return character
    code = ord(character)
    return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}" if code < 65536 else f"\\U{code:08x}"


WIDTH = 120
ENTRY_DEPTH = 2
"""Depth up to which values are never written on one line: sections and their entries (`chains.payment`)."""

Notes = Mapping[Location, Sequence[str]]
"""Comments by the location of the value that they are about."""


def yaml_text(document: Mapping[str, Any], notes: Notes, head: Sequence[str] = ()) -> str:
    """Writes a document as YAML.

    Args:
        document: the document, as JSON values.
        notes: comments; those of values that share a line are joined at its end.
        head: comment lines at the top.
    """
    layout = _Layout(notes)
    lines = [f"# {line}".rstrip() for line in head]
    for name, value in document.items():
        section = list(layout.member(name, value, (name,), ""))
        lines += ["", *section] if isinstance(value, dict) and lines else section
    return "\n".join(lines) + "\n"


class _Layout:
    def __init__(self, notes: Notes) -> None:
        self._notes = notes

    def member(self, name: str, value: Any, place: Location, indent: str) -> Iterator[str]:
        """The lines of `name: value`."""
        key = f"{indent}{text(name)}:"
        line = f"{key} {flow(value)}"
        if _is_short(value, len(place)) and len(line) <= WIDTH:
            yield from self._commented(line, self._notes_within(place), indent)
            return
        yield from self._commented(key, self._notes.get(place, ()), indent)
        yield from self._block(value, place, f"{indent}  ")

    def _block(self, value: Any, place: Location, indent: str) -> Iterator[str]:
        if isinstance(value, dict):
            for name, inner in value.items():
                if len(place) < ENTRY_DEPTH and len(value) > 1 and name != next(iter(value)) and _is_entry(value):
                    yield ""
                yield from self.member(name, inner, (*place, name), indent)
        elif isinstance(value, list | tuple):
            for index, item in enumerate(value):
                yield from self._commented(f"{indent}- {flow(item)}", self._notes_within((*place, index)), indent)
        else:
            yield indent + flow(value)

    def _commented(self, line: str, notes: Sequence[str], indent: str) -> Iterator[str]:
        comment = "; ".join(notes)
        if comment and len(line) + len(comment) + 4 > WIDTH:
            yield f"{indent}# {comment}"
        yield f"{line}  # {comment}" if comment and len(line) + len(comment) + 4 <= WIDTH else line

    def _notes_within(self, place: Location) -> list[str]:
        """The comments about a value and everything inside it."""
        matching = (notes for location, notes in self._notes.items() if location[: len(place)] == place)
        return [note for notes in matching for note in notes]


def _is_short(value: Any, depth: int) -> bool:
    """Whether a value may stand on one line: it is not an entry, and at most one level deep."""
    if not isinstance(value, dict | list | tuple) or not value:
        return True
    if isinstance(value, dict):
        return depth > ENTRY_DEPTH and _height(value) == 1
    return len(value) == 1 or not isinstance(value[0], dict)


def _is_entry(value: Mapping[str, Any]) -> bool:
    """Whether a section has entries, which empty lines separate."""
    return any(isinstance(inner, dict) for inner in value.values())


def _height(value: Any) -> int:
    if isinstance(value, dict):
        return 1 + max(map(_height, value.values()), default=0)
    return max(map(_height, value), default=0) if isinstance(value, list | tuple) else 0


Document = dict[str, Any]


def visitors_document(visitors: Visitors) -> Document:
    """A site and its visitors."""
    return {
        **({"site": visitors.site} if visitors.site else {}),
        **({"referrer": visitors.referrer} if visitors.referrer else {}),
        "behaviour": _behaviour(visitors.behaviour),
        "pages": {name: _page(page) for name, page in visitors.pages.items()},
        "journeys": visitors.journeys,
        "sets": {
            name: {journey.name: _journey(journey) for journey in journeys} for name, journeys in visitors.sets.items()
        },
        **({"shares": dict(visitors.shares)} if visitors.shares else {}),
    }


def _behaviour(behaviour: Behaviour) -> Document:
    ranges = {name: _range(getattr(behaviour, name)) for name in RANGES}
    return {**ranges, "human_like_delays": behaviour.human_like_delays}


def _page(page: Page) -> Document:
    clicks = {"clicks": [_click(click) for click in page.clicks]} if page.clicks else {}
    return {"path": page.path, "title": page.title, **clicks}


def _click(click: Click) -> Document:
    leads = {"to": click.to, "causes": click.causes}
    return {click.kind: click.element, "text": click.text, **{name: value for name, value in leads.items() if value}}


def _journey(journey: Journey) -> Document:
    ranges = {"clicks_per_page": journey.clicks_per_page, "time_per_page": journey.time_per_page}
    return {
        "weight": journey.weight,
        **({"stops": [_stop(stop) for stop in journey.stops]} if journey.stops else {}),
        **{name: _range(value) for name, value in ranges.items() if value is not None},
    }


def _stop(stop: Stop) -> str | Document:
    return {stop.page: list(stop.clicks)} if stop.clicks else stop.page


def _range(bounds: Range) -> list[float]:
    return [bounds.low, bounds.high]


def state_document(state: State) -> Document:
    """A state."""
    document: Document = {"emits": state.emits}
    if state.total != 100:
        document["total"] = state.total
    if state.abandon:
        document["abandon"] = state.abandon
    if state.next:
        only = len(state.next) == 1
        document["next"] = [_transition(transition, weighted=not only) for transition in state.next]
    if state.timeout:
        document["timeout"] = {"after": state.timeout.after, "to": state.timeout.to}
    if state.fork:
        document["fork"] = _fork(state.fork)
    if state.compensation:
        document["compensation"] = _target(state.compensation, "state")
    if state.causes:
        document["causes"] = [_cause(caused) for caused in state.causes]
    if state.outcome:
        document["outcome"] = state.outcome
    return document


def _transition(transition: Transition, *, weighted: bool) -> Document:
    backoff = transition.retry and transition.retry.backoff
    return {
        "to": transition.to,
        **({"weight": transition.weight} if weighted else {}),
        **({} if backoff else {"delay": _delay(transition.delay)}),
        **({"retry": _retry(transition.retry)} if transition.retry else {}),
        **({"compensate": True} if transition.compensate else {}),
        **({"scaled_by": transition.scaled_by} if transition.scaled_by else {}),
    }


def _retry(retry: Retry) -> Document:
    backoff = {"backoff": _backoff(retry.backoff)} if retry.backoff else {}
    return {"limit": retry.limit, **backoff, "else": _target(retry.otherwise)}


def _backoff(backoff: Backoff) -> Document:
    bound = {} if backoff.maximum is None else {"max": backoff.maximum}
    return {"initial": backoff.initial, "factor": backoff.factor, **bound, "jitter": backoff.jitter}


def _fork(fork: Fork) -> Document:
    unless = [{"state": rule.ended, **_target(rule.target)} for rule in fork.unless]
    join = {**_target(fork.join), **({"unless": unless} if unless else {})}
    return {"branches": [_target(branch) for branch in fork.branches], "join": join}


def _target(target: Target, key: str = "to") -> Document:
    return {key: target.to, "delay": _delay(target.delay), **({"compensate": True} if target.compensate else {})}


def _cause(caused: CausedChain) -> Document:
    return {"chain": caused.chain, "weight": caused.weight, "delay": _delay(caused.delay)}


def _delay(delay: Delay) -> Document:
    """A delay without a minimum of 0, which is the default."""
    ((name, value),) = delay_document(delay).items()
    return {
        name: {key: bound for key, bound in value.items() if (key, bound) != ("min", 0)}
        if isinstance(value, dict)
        else value
    }


def catalog_document(catalog: Catalog, base: Catalog | None = None) -> Document:
    """The document of a file that stands alone, or that holds only what differs from the catalog it extends."""
    sections = {
        "lists": {name: list(items) for name, items in catalog.lists.items() if _is_new(base, "lists", name, items)},
        "events": {
            name: event_document(event)
            for name, event in catalog.events.items()
            if _is_new(base, "events", name, event)
        },
        "chains": {
            name: chain_document(chain)
            for name, chain in catalog.chains.items()
            if _is_new(base, "chains", name, chain)
        },
    }
    head = {} if base else {"alone": True, **_domain(catalog)}
    return {**head, **_without_empty(sections)}


def _is_new(base: Catalog | None, section: str, name: str, value: Any) -> bool:
    return base is None or getattr(base, section).get(name) != value


def event_document(event: EventType) -> Document:
    """An event type."""
    version = {} if event.schema_version == "1.0.0" else {"schema_version": event.schema_version}
    about = _without_empty({"description": event.description, "source": event.source})
    return about | version | _without_empty({"payload": {field.name: field_document(field) for field in event.payload}})


def field_document(field: PayloadField) -> Document:
    """A payload field."""
    about = _without_empty({"description": field.description, "examples": list(field.examples)})
    optional = {} if field.required else {"required": False}
    if field.fields is not None:
        return {**about, **optional, "fields": {inner.name: field_document(inner) for inner in field.fields}}
    return {"type": field.type, **field.source.document(), **about, **optional}


def chain_document(chain: Chain) -> Document:
    """A chain."""
    steps = {} if chain.visitors or chain.max_steps == 64 else {"max_steps": chain.max_steps}
    return {
        **_without_empty({"description": chain.description}),
        "weight": chain.weight,
        **_without_empty(
            {"variables": {name: variable_document(variable) for name, variable in chain.variables.items()}}
        ),
        **steps,
        "start": chain.start,
        "states": {name: state_document(state) for name, state in chain.states.items()},
        **({"visitors": visitors_document(chain.visitors)} if chain.visitors else {}),
    }


def variable_document(variable: Variable) -> Document:
    """A variable of a chain."""
    is_list = variable.list is not None
    bounds = {"list": variable.list} if is_list else {"min": variable.minimum, "max": variable.maximum}
    factor = {} if variable.factor is None else {"factor": {"p95": variable.factor}}
    return {
        **bounds,
        **_without_empty({"where": dict(variable.where), "per": variable.per, "zipf": variable.zipf}),
        **_without_empty({"exclusive": variable.exclusive}),
        **factor,
    }


def _domain(catalog: Catalog) -> Document:
    """The domain, if all event types share one, and the partitions of its topic; otherwise those of all topics."""
    domains = list(dict.fromkeys(event.domain for event in catalog.events.values()))
    if len(domains) != 1:
        return _without_empty({"partitions": dict(catalog.partitions)})
    return {"domain": domains[0]} | _without_empty({"partitions": catalog.partitions.get(domains[0])})


def _without_empty(members: Mapping[str, Any]) -> Document:
    """The members that are not empty."""
    return {name: value for name, value in members.items() if value}
