"""A catalog as the document that a file of it holds: the inverse of the loader."""

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

# Delays as they are written in a catalog file.


def delay_document(delay: Delay) -> dict[str, Any]:
    """A delay as it is written in a catalog file."""
    if isinstance(delay, Fixed):
        return {"fixed": delay.value}
    if isinstance(delay, Uniform):
        return {"uniform": [delay.minimum, delay.maximum]}
    bounds = {"min": delay.minimum} | ({} if delay.maximum is None else {"max": delay.maximum})
    if isinstance(delay, Exponential):
        return {"exponential": {"mean": delay.mean, **bounds}}
    return {"lognormal": {"median": delay.median, "p95": delay.p95, **bounds}}


# A value in one line of YAML: what both readers of 1.1 and of 1.2 take for the same value.


PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_./+-]*(?: [A-Za-z0-9_./+-]+)*")
"""Texts that need no quotes, also inside brackets ..."""
WORDS = {"true", "false", "null", "yes", "no", "on", "off", "y", "n"}
"""... unless some YAML reads a value in them."""
ESCAPES = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\t": "\\t", "\r": "\\r"}


def flow(value: Any) -> str:
    """A value as JSON has it, in flow style: `{uniform: [50, 150]}`."""
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
    """A text, in quotes where it could be taken for something else."""
    if PLAIN.fullmatch(value) and value.lower() not in WORDS:
        return value
    return f'"{"".join(map(_escaped, value))}"'


def number(value: float) -> str:
    """A number; a whole one has no fraction."""
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


# A catalog's document as YAML text for people: short values on one line, and comments where they belong.


WIDTH = 120
ENTRIES = 2
"""Sections and what they define (`chains.payment`) are never written on one line."""

Notes = Mapping[Location, Sequence[str]]
"""Comments, by the place of the value that they are about."""


def yaml_text(document: Mapping[str, Any], notes: Notes, head: Sequence[str] = ()) -> str:
    """The text of a file.

    Args:
        document: what the file says, as JSON has it.
        notes: a note about a value that stands on one line with others is put at the end of that line.
        head: comments at the top.
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
            yield from self._noted(line, self._below(place), indent)
            return
        yield from self._noted(key, self._notes.get(place, ()), indent)
        yield from self._block(value, place, f"{indent}  ")

    def _block(self, value: Any, place: Location, indent: str) -> Iterator[str]:
        if isinstance(value, dict):
            for name, inner in value.items():
                if len(place) < ENTRIES and len(value) > 1 and name != next(iter(value)) and _is_entry(value):
                    yield ""
                yield from self.member(name, inner, (*place, name), indent)
        elif isinstance(value, list | tuple):
            for index, item in enumerate(value):
                yield from self._noted(f"{indent}- {flow(item)}", self._below((*place, index)), indent)
        else:
            yield indent + flow(value)

    def _noted(self, line: str, notes: Sequence[str], indent: str) -> Iterator[str]:
        comment = "; ".join(notes)
        if comment and len(line) + len(comment) + 4 > WIDTH:
            yield f"{indent}# {comment}"
        yield f"{line}  # {comment}" if comment and len(line) + len(comment) + 4 <= WIDTH else line

    def _below(self, place: Location) -> list[str]:
        """The notes about a value and all that is inside it."""
        inside = (notes for at, notes in self._notes.items() if at[: len(place)] == place)
        return [note for notes in inside for note in notes]


def _is_short(value: Any, depth: int) -> bool:
    """Whether a value may stand on one line: it is no entry, and no more than one level deep."""
    if not isinstance(value, dict | list | tuple) or not value:
        return True
    if isinstance(value, dict):
        return depth > ENTRIES and _height(value) == 1
    return len(value) == 1 or not isinstance(value[0], dict)


def _is_entry(value: Mapping[str, Any]) -> bool:
    """Whether the members of a section are so long that an empty line between them helps."""
    return any(isinstance(inner, dict) for inner in value.values())


def _height(value: Any) -> int:
    if isinstance(value, dict):
        return 1 + max(map(_height, value.values()), default=0)
    return max(map(_height, value), default=0) if isinstance(value, list | tuple) else 0


# The visitors of a chain as a file has them: the inverse of `read_visitors`.


Document = dict[str, Any]


def visitors_document(visitors: Visitors) -> Document:
    """A site and its visitors."""
    return {
        **({"site": visitors.site} if visitors.site else {}),
        **({"referrer": visitors.referrer} if visitors.referrer else {}),
        "behaviour": _behaviour(visitors.behaviour),
        "pages": {name: _page(page) for name, page in visitors.pages.items()},
        "journeys": visitors.journeys,
        "sets": {name: {one.name: _journey(one) for one in journeys} for name, journeys in visitors.sets.items()},
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


# The states of a chain as a file has them: the inverse of `read_chains` and `read_topology`.


def state_document(state: State) -> Document:
    """A state."""
    document: Document = {"emits": state.emits}
    if state.total != 100:
        document["total"] = state.total
    if state.abandon:
        document["abandon"] = state.abandon
    if state.next:
        only = len(state.next) == 1
        document["next"] = [_transition(way, weighted=not only) for way in state.next]
    if state.timeout:
        document["timeout"] = {"after": state.timeout.after, "to": state.timeout.to}
    if state.fork:
        document["fork"] = _fork(state.fork)
    if state.compensation:
        document["compensation"] = _way(state.compensation, "state")
    if state.causes:
        document["causes"] = [_causes(one) for one in state.causes]
    if state.outcome:
        document["outcome"] = state.outcome
    return document


def _transition(way: Transition, *, weighted: bool) -> Document:
    backoff = way.retry and way.retry.backoff
    return {
        "to": way.to,
        **({"weight": way.weight} if weighted else {}),
        **({} if backoff else {"delay": _delay(way.delay)}),
        **({"retry": _retry(way.retry)} if way.retry else {}),
        **({"compensate": True} if way.compensate else {}),
        **({"scaled_by": way.scaled_by} if way.scaled_by else {}),
    }


def _retry(retry: Retry) -> Document:
    backoff = {"backoff": _backoff(retry.backoff)} if retry.backoff else {}
    return {"limit": retry.limit, **backoff, "else": _way(retry.otherwise)}


def _backoff(backoff: Backoff) -> Document:
    bound = {} if backoff.maximum is None else {"max": backoff.maximum}
    return {"initial": backoff.initial, "factor": backoff.factor, **bound, "jitter": backoff.jitter}


def _fork(fork: Fork) -> Document:
    others = [{"state": one.ended, **_way(one.target)} for one in fork.unless]
    join = {**_way(fork.join), **({"unless": others} if others else {})}
    return {"branches": [_way(branch) for branch in fork.branches], "join": join}


def _way(way: Target, target: str = "to") -> Document:
    return {target: way.to, "delay": _delay(way.delay), **({"compensate": True} if way.compensate else {})}


def _causes(one: CausedChain) -> Document:
    return {"chain": one.chain, "weight": one.weight, "delay": _delay(one.delay)}


def _delay(delay: Delay) -> Document:
    """Without a lower bound of 0, which all have."""
    ((name, value),) = delay_document(delay).items()
    return {name: {key: v for key, v in value.items() if (key, v) != ("min", 0)} if isinstance(value, dict) else value}


SOURCES = {
    **{name: name for name in ("value", "choices", "pick", "var", "template", "visit")},
    **{"minimum": "min", "maximum": "max"},
}
"""What gives a payload field its value: attribute → name in a file."""
FLAGS = ("elapsed", "attempt")
"""The same, where it is no more than true."""


def catalog_document(catalog: Catalog, base: Catalog | None = None) -> Document:
    """A file that stands on its own, or has what differs from a catalog on top of which it will be read."""
    sections = {
        "lists": {name: list(items) for name, items in catalog.lists.items() if _is_new(base, "lists", name, items)},
        "events": {n: event_document(e) for n, e in catalog.events.items() if _is_new(base, "events", n, e)},
        "chains": {n: chain_document(c) for n, c in catalog.chains.items() if _is_new(base, "chains", n, c)},
    }
    head = {} if base else {"alone": True, **_domain(catalog)}
    return {**head, **_said(sections)}


def _is_new(base: Catalog | None, section: str, name: str, value: Any) -> bool:
    return base is None or getattr(base, section).get(name) != value


def event_document(event: EventType) -> Document:
    """An event type."""
    version = {} if event.schema_version == "1.0.0" else {"schema_version": event.schema_version}
    about = _said({"description": event.description, "source": event.source})
    return about | version | _said({"payload": {one.name: field_document(one) for one in event.payload}})


def field_document(one: PayloadField) -> Document:
    """A payload field."""
    about = _said({"description": one.description, "examples": list(one.examples)})
    optional = {} if one.required else {"required": False}
    if one.fields is not None:
        return {**about, **optional, "fields": {inner.name: field_document(inner) for inner in one.fields}}
    return {"type": one.type, **source_document(one), **about, **optional}


def source_document(one: PayloadField) -> Document:
    """Where a field gets its value."""
    found = {name: getattr(one, attribute) for attribute, name in SOURCES.items()}
    document = {name: list(v) if isinstance(v, tuple) else v for name, v in found.items() if v is not None}
    flags = {name: True for name in FLAGS if getattr(one, name)}
    return {**flags, **document, **_said({"decimals": one.decimals})}


def chain_document(chain: Chain) -> Document:
    """A chain."""
    steps = {} if chain.visitors or chain.max_steps == 64 else {"max_steps": chain.max_steps}
    return {
        **_said({"description": chain.description}),
        "weight": chain.weight,
        **_said({"variables": {name: variable_document(one) for name, one in chain.variables.items()}}),
        **steps,
        "start": chain.start,
        "states": {name: state_document(state) for name, state in chain.states.items()},
        **({"visitors": visitors_document(chain.visitors)} if chain.visitors else {}),
    }


def variable_document(one: Variable) -> Document:
    """A variable of a chain."""
    bounds = {"list": one.list} if one.list is not None else {"min": one.minimum, "max": one.maximum}
    factor = {} if one.factor is None else {"factor": {"p95": one.factor}}
    return {**bounds, **_said({"per": one.per, "zipf": one.zipf}), **factor}


def _domain(catalog: Catalog) -> Document:
    """The file's domain where all event types have one, and the partitions of its topic, or of all topics."""
    domains = list(dict.fromkeys(event.domain for event in catalog.events.values()))
    if len(domains) != 1:
        return _said({"partitions": dict(catalog.partitions)})
    return {"domain": domains[0]} | _said({"partitions": catalog.partitions.get(domains[0])})


def _said(members: Mapping[str, Any]) -> Document:
    """Without what is empty."""
    return {name: value for name, value in members.items() if value}
