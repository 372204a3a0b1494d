"""Reads a file's `chains` section: one node → one `Chain`.

What cannot be read is added to the mistakes of the document; a harmless placeholder stands in for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import get_args

from eventbus.catalog.errors import join_names
from eventbus.catalog.model import (
    Backoff,
    Behaviour,
    CausedChain,
    Chain,
    Click,
    Delay,
    Exponential,
    Fixed,
    Fork,
    JoinRule,
    Journey,
    LogNormal,
    Outcome,
    Page,
    Range,
    Retry,
    State,
    Stop,
    Target,
    Timeout,
    Transition,
    Uniform,
    Variable,
    Visitors,
)
from eventbus.catalog.reading.document import AbsentNode, Members, YamlNode
from eventbus.catalog.reading.scalars import read_texts

CHAIN = ("description", "weight", "start", "variables", "states", "max_steps", "visitors")
STATE = ("emits", "next", "total", "abandon", "timeout", "fork", "compensation", "causes", "outcome")
TRANSITION = ("to", "weight", "delay", "retry", "compensate", "scaled_by")
VARIABLE = ("list", "where", "min", "max", "factor", "per", "zipf", "exclusive")
OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)
DELAYS: Mapping[str, tuple[str, ...]] = {
    "uniform": (),
    "fixed": (),
    "exponential": ("mean",),
    "lognormal": ("median", "p95"),
}
"""The distributions of delays, and the members that each requires."""
VISITORS = ("site", "referrer", "behaviour", "pages", "journeys", "sets", "shares")
PAGE = ("path", "title", "clicks")
CLICK = ("button", "link", "text", "to", "causes")
JOURNEY = ("weight", "stops", "clicks_per_page", "time_per_page")
RANGES = tuple(field.name for field in fields(Behaviour) if field.name != "human_like_delays")


def read_chain(name: str, node: YamlNode) -> Chain:
    """One chain."""
    members = node.members(CHAIN, required=("weight", "start", "states"))
    visitors = read_visitors(members["visitors"]) if "visitors" in members else None
    if visitors and "max_steps" in members:
        members["max_steps"].complain("the behaviour and journeys of `visitors` determine max_steps")
    max_steps = members["max_steps"].integer(64)
    return Chain(
        name=name,
        weight=members["weight"].number(1.0),
        description=members["description"].text() or "",
        start=members["start"].text() or "",
        states={state: _state(state, member) for state, member in members["states"].mapping().items()},
        variables={variable: _variable(variable, node) for variable, node in members["variables"].mapping().items()},
        max_steps=visitors.max_events if visitors else max_steps,
        visitors=visitors,
    )


def _variable(name: str, node: YamlNode) -> Variable:
    members = node.members(VARIABLE, renamed={"by": "per"})
    if node.is_mapping and members.keys() & {"list", "min", "max"} not in ({"list"}, {"min", "max"}):
        node.complain("expected either `list: NAME` or `min: …` and `max: …`")
    factor = members["factor"].members(("p95",), required=("p95",))
    return Variable(
        name=name,
        list=members["list"].text(),
        minimum=members["min"].integer(),
        maximum=members["max"].integer(),
        factor=factor["p95"].number(),
        per=members["per"].text(),
        where=tuple(read_texts(members["where"]).items()) if "where" in members else (),
        zipf=members["zipf"].flag(False),
        exclusive=members["exclusive"].flag(False),
    )


def _state(name: str, node: YamlNode) -> State:
    members = node.members(STATE, required=("emits",))
    total, abandon = members["total"].number(100.0), members["abandon"].number() or 0.0
    return State(
        name=name,
        emits=members["emits"].text() or "",
        next=_transitions(members["next"], (total or 100.0) - abandon),
        total=total,
        outcome=members["outcome"].one_of(OUTCOMES) or "completed" if "outcome" in members else None,
        abandon=abandon,
        timeout=_timeout(members["timeout"]) if "timeout" in members else None,
        fork=_fork(members["fork"]) if "fork" in members else None,
        compensation=_target(members["compensation"], "state") if "compensation" in members else None,
        causes=tuple(_caused_chain(item) for item in members["causes"].items()),
    )


def _transitions(node: YamlNode, total: float) -> tuple[Transition, ...]:
    """The transitions of a state; the weight of an only transition is the total."""
    items = [(item, item.members(TRANSITION, required=("to",), renamed={"by": "scaled_by"})) for item in node.items()]
    weights = [members["weight"].number() for _, members in items]
    for (item, members), weight in zip(items, weights, strict=True):
        if weight is None and "weight" not in members and len(items) > 1 and item.is_mapping:
            item.complain("'weight' is required where a state has several transitions")
    rest = total - sum(weight for weight in weights if weight is not None)
    default = rest / (weights.count(None) or 1)  # of the only transition, or in place of an unreadable weight
    return tuple(
        _transition(item, members, default if weight is None else weight)
        for (item, members), weight in zip(items, weights, strict=True)
    )


def _transition(node: YamlNode, members: Members, weight: float) -> Transition:
    retry = _retry(members["retry"]) if "retry" in members else None
    backoff = retry.backoff if retry else None
    if node.is_mapping and "delay" not in members and not backoff:
        node.complain("'delay' is required, but missing")
    if "delay" in members and backoff:
        node.complain("a retry with `backoff` has no `delay`")
    return Transition(
        to=members["to"].text() or "",
        delay=backoff.delay(1) if backoff else read_delay(members["delay"]),
        weight=weight,
        retry=retry,
        compensate=members["compensate"].flag(False),
        scaled_by=members["scaled_by"].text(),
    )


# Delays.


def read_delay(node: YamlNode) -> Delay:
    """A delay in milliseconds; one that is absent or cannot be read is 0."""
    if not node.is_mapping:
        node.mapping("a delay such as {fixed: 40}, in milliseconds")
        return Fixed(value=0)
    members = node.members(DELAYS)
    if len(members) != 1:
        node.complain(f"expected exactly one of {join_names(DELAYS)}, got {join_names(members)}")
    for name, member in members.items():
        if name in DELAYS and (delay := _distribution(name, member)) is not None:
            return delay
    return Fixed(value=0)


def _distribution(name: str, node: YamlNode) -> Delay | None:
    if name == "fixed":
        value = node.number()
        return None if value is None else Fixed(value=value)
    if name == "uniform":
        bounds = _range(node)
        return None if bounds is None else Uniform(minimum=bounds.low, maximum=bounds.high)
    required = DELAYS[name]
    members = node.members((*required, "min", "max"), required=required)
    numbers = {key: number for key, member in members.items() if (number := member.number()) is not None}
    if not numbers.keys() >= set(required):
        return None
    minimum, maximum = numbers.get("min", 0.0), numbers.get("max")
    if name == "exponential":
        return Exponential(mean=numbers["mean"], minimum=minimum, maximum=maximum)
    return LogNormal(median=numbers["median"], p95=numbers["p95"], minimum=minimum, maximum=maximum)


def _range(node: YamlNode) -> Range | None:
    """A list such as `[10, 120]`; None if it is absent or after a mistake."""
    if isinstance(node, AbsentNode):
        return None
    bounds = [item.number() for item in node.items()]
    if len(bounds) == 2 and bounds[0] is not None and bounds[1] is not None:
        return Range(bounds[0], bounds[1])
    if len(bounds) != 2:
        node.complain(f"expected [min, max], got {len(bounds)} items")
    return None


# Targets, timeouts, retries, forks and caused chains.


def _target(node: YamlNode, name: str = "to") -> Target:
    """A state and the delay before it; the state is the member of this name."""
    members = node.members((name, "delay"), required=(name, "delay"))
    return Target(to=members[name].text() or "", delay=read_delay(members["delay"]))


def _compensating_target(node: YamlNode) -> Target:
    members = node.members(("to", "delay", "compensate"), required=("to", "delay"))
    return Target(
        to=members["to"].text() or "",
        delay=read_delay(members["delay"]),
        compensate=members["compensate"].flag(False),
    )


def _timeout(node: YamlNode) -> Timeout:
    members = node.members(("after", "to"), required=("after", "to"))
    return Timeout(after=members["after"].number(1.0), to=members["to"].text() or "")


def _retry(node: YamlNode) -> Retry:
    members = node.members(("limit", "backoff", "else"), required=("limit", "else"))
    return Retry(
        limit=members["limit"].integer(1),
        otherwise=_compensating_target(members["else"]),
        backoff=_backoff(members["backoff"]) if "backoff" in members else None,
    )


def _backoff(node: YamlNode) -> Backoff:
    members = node.members(("initial", "factor", "max", "jitter"), required=("initial",))
    return Backoff(
        initial=members["initial"].number() or 0.0,
        factor=members["factor"].number(2.0),
        maximum=members["max"].number(),
        jitter=members["jitter"].number() or 0.0,
    )


def _fork(node: YamlNode) -> Fork:
    members = node.members(("branches", "join"), required=("branches", "join"))
    branches = members["branches"].items()
    if members["branches"].is_list and len(branches) < 2:
        members["branches"].complain(f"expected at least 2 branches, got {len(branches)}")
    targets = tuple(map(_target, branches))
    members = members["join"].members(("to", "delay", "compensate", "unless"), required=("to", "delay"))
    join = Target(
        to=members["to"].text() or "",
        delay=read_delay(members["delay"]),
        compensate=members["compensate"].flag(False),
    )
    return Fork(branches=targets, join=join, unless=tuple(_join_rule(item, join) for item in members["unless"].items()))


def _join_rule(node: YamlNode, join: Target) -> JoinRule:
    members = node.members(("state", "to", "delay", "compensate"), required=("state", "to"))
    target = Target(
        to=members["to"].text() or "",
        delay=read_delay(members["delay"]) if "delay" in members else join.delay,
        compensate=members["compensate"].flag(False),
    )
    return JoinRule(ended=members["state"].text() or "", target=target)


def _caused_chain(node: YamlNode) -> CausedChain:
    members = node.members(("chain", "weight", "delay"), required=("chain", "delay"))
    return CausedChain(
        chain=members["chain"].text() or "",
        delay=read_delay(members["delay"]),
        weight=members["weight"].number(100.0),
    )


# Visitors.


def read_visitors(node: YamlNode) -> Visitors:
    """The visitors of a chain of sessions."""
    members = node.members(VISITORS, required=("pages", "journeys", "sets"))
    return Visitors(
        pages={name: _page(name, page) for name, page in members["pages"].mapping().items()},
        sets={name: read_journeys(journeys) for name, journeys in members["sets"].mapping().items()},
        journeys=members["journeys"].text() or "",
        behaviour=_behaviour(members["behaviour"]),
        site=members["site"].text() or "",
        referrer=members["referrer"].text(),
        shares={name: share.number(0.0) for name, share in members["shares"].mapping().items()},
    )


def _behaviour(node: YamlNode) -> Behaviour:
    """How visitors behave; the defaults apply where the document says nothing."""
    members = node.members((*RANGES, "human_like_delays"))
    ranges = {name: bounds for name in RANGES if (bounds := _range(members[name]))}
    return Behaviour(**ranges, human_like_delays=members["human_like_delays"].flag(True))


def read_journeys(node: YamlNode) -> tuple[Journey, ...]:
    """A set of journeys by name."""
    return tuple(_journey(name, member) for name, member in node.mapping().items())


def _journey(name: str, node: YamlNode) -> Journey:
    members = node.members(JOURNEY, required=("weight",))
    return Journey(
        name=name,
        weight=members["weight"].number(1.0),
        stops=tuple(_stop(item) for item in members["stops"].items()),
        clicks_per_page=_range(members["clicks_per_page"]),
        time_per_page=_range(members["time_per_page"]),
    )


def _stop(node: YamlNode) -> Stop:
    """`home`, or `{product: [add_to_cart]}`."""
    if not node.is_mapping:
        return Stop(node.text() or "")
    pages = node.mapping()
    if len(pages) != 1:
        node.complain(f"expected one page and its clicks, got {join_names(pages)}")
    return next((Stop(page, _texts(clicks)) for page, clicks in pages.items()), Stop(""))


def _texts(node: YamlNode) -> tuple[str, ...]:
    return tuple(text for item in node.items() if (text := item.text()))


def _page(name: str, node: YamlNode) -> Page:
    members = node.members(PAGE, required=("path", "title"))
    return Page(
        name=name,
        path=members["path"].text() or "",
        title=members["title"].text() or "",
        clicks=tuple(_click(item) for item in members["clicks"].items()),
    )


def _click(node: YamlNode) -> Click:
    members = node.members(CLICK, required=("text",))
    if node.is_mapping and ("button" in members) == ("link" in members):
        node.complain("expected either `button: NAME` or `link: NAME`")
    return Click(
        element=members["button"].text() or members["link"].text() or "",
        kind="link" if "link" in members else "button",
        text=members["text"].text() or "",
        to=members["to"].text(),
        causes=members["causes"].text(),
    )
