"""A file's `chains` section: one node → one `Chain`."""

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
from eventbus.catalog.reading.document import YamlNode, text_of

# Delays of a document, wherever one is written.


DELAYS: Mapping[str, tuple[str, ...]] = {  # and the members that each shape needs
    "uniform": (),
    "fixed": (),
    "exponential": ("mean",),
    "lognormal": ("median", "p95"),
}


def read_delay(node: YamlNode) -> Delay:
    """Milliseconds; a delay that cannot be read is noted and counts as none."""
    members = node.members(DELAYS)
    if node.is_mapping and len(members) != 1:
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
        bounds = [item.number() for item in node.items()]
        if len(bounds) == 2 and bounds[0] is not None and bounds[1] is not None:
            return Uniform(minimum=bounds[0], maximum=bounds[1])
        if len(bounds) != 2:
            node.complain(f"expected [min, max], got {len(bounds)} items")
        return None
    return _shaped(name, node)


def _shaped(name: str, node: YamlNode) -> Delay | None:
    needed = DELAYS[name]
    members = node.members((*needed, "min", "max"), required=needed)
    numbers = {key: number for key, member in members.items() if (number := member.number()) is not None}
    if not numbers.keys() >= set(needed):
        return None
    minimum, maximum = numbers.get("min", 0.0), numbers.get("max")
    if name == "exponential":
        return Exponential(mean=numbers["mean"], minimum=minimum, maximum=maximum)
    return LogNormal(median=numbers["median"], p95=numbers["p95"], minimum=minimum, maximum=maximum)


# What a state may have beside plain transitions, read from its node; mistakes are noted, as in `read_chains`.


def read_way(node: YamlNode, target: str = "to") -> Target:
    """A target and the delay before it; the target under another name, if need be."""
    members = node.members((target, "delay"), required=(target, "delay"))
    return Target(to=text_of(members, target), delay=delay_of(members))


def read_timeout(node: YamlNode) -> Timeout:
    members = node.members(("after", "to"), required=("after", "to"))
    return Timeout(after=number_of(members, "after") or 0.0, to=text_of(members, "to"))


def read_retry(node: YamlNode) -> Retry:
    members = node.members(("limit", "backoff", "else"), required=("limit", "else"))
    limit = members["limit"].integer() if "limit" in members else None
    return Retry(
        limit=1 if limit is None else limit,
        otherwise=_undoing_way(members["else"]) if "else" in members else Target(to="", delay=Fixed(value=0)),
        backoff=_backoff(members["backoff"]) if "backoff" in members else None,
    )


def _backoff(node: YamlNode) -> Backoff:
    members = node.members(("initial", "factor", "max", "jitter"), required=("initial",))
    factor = number_of(members, "factor")
    return Backoff(
        initial=number_of(members, "initial") or 0.0,
        factor=2.0 if factor is None else factor,
        maximum=number_of(members, "max"),
        jitter=number_of(members, "jitter") or 0.0,
    )


def read_fork(node: YamlNode) -> Fork:
    members = node.members(("branches", "join"), required=("branches", "join"))
    branches = members["branches"].items() if "branches" in members else []
    if "branches" in members and members["branches"].is_list and len(branches) < 2:
        members["branches"].complain(f"expected at least 2 branches, got {len(branches)}")
    return _fork(tuple(map(read_way, branches)), members.get("join"))


def _fork(branches: tuple[Target, ...], node: YamlNode | None) -> Fork:
    if node is None:
        return Fork(branches=branches, join=Target(to="", delay=Fixed(value=0)))
    members = node.members(("to", "delay", "compensate", "unless"), required=("to", "delay"))
    join = Target(to=text_of(members, "to"), delay=delay_of(members), compensate=flag_of(members, "compensate"))
    others = members["unless"].items() if "unless" in members else []
    return Fork(branches=branches, join=join, unless=tuple(_unless(one, join) for one in others))


def _unless(node: YamlNode, join: Target) -> JoinRule:
    members = node.members(("state", "to", "delay", "compensate"), required=("state", "to"))
    way = Target(
        to=text_of(members, "to"),
        delay=delay_of(members) if "delay" in members else join.delay,
        compensate=flag_of(members, "compensate"),
    )
    return JoinRule(ended=text_of(members, "state"), target=way)


def read_causes(node: YamlNode) -> tuple[CausedChain, ...]:
    return tuple(_causes(item) for item in node.items())


def _causes(node: YamlNode) -> CausedChain:
    members = node.members(("chain", "weight", "delay"), required=("chain", "delay"))
    weight = number_of(members, "weight")
    return CausedChain(
        chain=text_of(members, "chain"), delay=delay_of(members), weight=100.0 if weight is None else weight
    )


def _undoing_way(node: YamlNode) -> Target:
    members = node.members(("to", "delay", "compensate"), required=("to", "delay"))
    return Target(to=text_of(members, "to"), delay=delay_of(members), compensate=flag_of(members, "compensate"))


def delay_of(members: Mapping[str, YamlNode]) -> Delay:
    """The member `delay`; none when it is absent."""
    return read_delay(members["delay"]) if "delay" in members else Fixed(value=0)


def number_of(members: Mapping[str, YamlNode], name: str) -> float | None:
    """The number of a member; None when it is absent or, which is noted, no number."""
    return members[name].number() if name in members else None


def flag_of(members: Mapping[str, YamlNode], name: str) -> bool:
    """Whether a member is there and true."""
    return name in members and members[name].flag() is True


# The `visitors` of a chain in a file: one node → one `Visitors`.


VISITORS = ("site", "referrer", "behaviour", "pages", "journeys", "sets")
PAGE = ("path", "title", "clicks")
CLICK = ("button", "link", "text", "to", "causes")
JOURNEY = ("weight", "stops", "clicks_per_page", "time_per_page")
RANGES = tuple(one.name for one in fields(Behaviour) if one.name != "human_like_delays")


def read_visitors(node: YamlNode) -> Visitors:
    """What cannot be read is noted, and stands in as something harmless."""
    members = node.members(VISITORS, required=("pages", "journeys", "sets"))
    pages = members["pages"].mapping() if "pages" in members else {}
    sets = members["sets"].mapping() if "sets" in members else {}
    return Visitors(
        pages={name: _page(name, page) for name, page in pages.items()},
        sets={name: read_journeys(journeys) for name, journeys in sets.items()},
        journeys=text_of(members, "journeys"),
        behaviour=read_behaviour(members["behaviour"]) if "behaviour" in members else Behaviour(),
        site=text_of(members, "site"),
        referrer=text_of(members, "referrer") or None,
    )


def read_behaviour(node: YamlNode, base: Behaviour | None = None) -> Behaviour:
    """Bounds of what visitors do.

    Args:
        base: says what the document does not; None: the defaults.
    """
    base = base or Behaviour()
    members = node.members((*RANGES, "human_like_delays"))
    given = {name: found for name, found in ((name, read_range(members, name)) for name in RANGES) if found}
    hurry = "human_like_delays" in members and members["human_like_delays"].flag() is False
    human = base.human_like_delays if "human_like_delays" not in members else not hurry
    return Behaviour(**{name: getattr(base, name) for name in RANGES} | given, human_like_delays=human)


def read_range(members: Mapping[str, YamlNode], name: str) -> Range | None:
    """A member such as `[10, 120]`; None when there is none or, which is noted, it cannot be read."""
    if name not in members:
        return None
    bounds = [item.number() for item in members[name].items()]
    if len(bounds) == 2 and bounds[0] is not None and bounds[1] is not None:
        return Range(bounds[0], bounds[1])
    if len(bounds) != 2:
        members[name].complain(f"expected [min, max], got {len(bounds)} items")
    return None


def read_journeys(node: YamlNode) -> tuple[Journey, ...]:
    """A set of journeys by name."""
    return tuple(_journey(name, member) for name, member in node.mapping().items())


def _journey(name: str, node: YamlNode) -> Journey:
    members = node.members(JOURNEY, required=("weight",))
    weight = members["weight"].number() if "weight" in members else None
    return Journey(
        name=name,
        weight=1.0 if weight is None else weight,
        stops=tuple(_stop(item) for item in members["stops"].items()) if "stops" in members else (),
        clicks_per_page=read_range(members, "clicks_per_page"),
        time_per_page=read_range(members, "time_per_page"),
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
    clicks = tuple(_click(item) for item in members["clicks"].items()) if "clicks" in members else ()
    return Page(name=name, path=text_of(members, "path"), title=text_of(members, "title"), clicks=clicks)


def _click(node: YamlNode) -> Click:
    members = node.members(CLICK, required=("text",))
    if node.is_mapping and ("button" in members) == ("link" in members):
        node.complain("expected either `button: NAME` or `link: NAME`")
    return Click(
        element=text_of(members, "button") or text_of(members, "link"),
        kind="link" if "link" in members else "button",
        text=text_of(members, "text"),
        to=text_of(members, "to") or None,
        causes=text_of(members, "causes") or None,
    )


CHAIN = ("description", "weight", "start", "variables", "states", "max_steps", "visitors")
STATE = ("emits", "next", "total", "abandon", "timeout", "fork", "compensation", "causes", "outcome")
TRANSITION = ("to", "weight", "delay", "retry", "compensate", "scaled_by")
VARIABLE = ("list", "min", "max", "factor", "per", "zipf")
OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)


def read_chain(name: str, node: YamlNode) -> Chain:
    """One chain; what cannot be read is noted, and stands in as something harmless."""
    members = node.members(CHAIN, required=("weight", "start", "states"))
    states = members["states"].mapping() if "states" in members else {}
    variables = members["variables"].mapping() if "variables" in members else {}
    weight = members["weight"].number() if "weight" in members else None
    steps = members["max_steps"].integer() if "max_steps" in members else None
    visitors = read_visitors(members["visitors"]) if "visitors" in members else None
    if visitors and "max_steps" in members:
        members["max_steps"].complain(
            "a chain with `visitors` has as many steps as their behaviour and journeys ask for"
        )
    return Chain(
        name=name,
        weight=1.0 if weight is None else weight,
        description=text_of(members, "description"),
        start=text_of(members, "start"),
        states={state: _state(state, member) for state, member in states.items()},
        variables={variable: _variable(variable, member) for variable, member in variables.items()},
        max_steps=visitors.max_events if visitors else 64 if steps is None else steps,
        visitors=visitors,
    )


def _variable(name: str, node: YamlNode) -> Variable:
    members = node.members(VARIABLE, renamed={"by": "per"})
    given = members.keys() & {"list", "min", "max"}
    if node.is_mapping and given not in ({"list"}, {"min", "max"}):
        node.complain("expected either `list: NAME` or `min: …` and `max: …`")
    factor = members["factor"].members(("p95",), required=("p95",)) if "factor" in members else {}
    return Variable(
        name=name,
        list=text_of(members, "list") or None,
        minimum=members["min"].integer() if "min" in members else None,
        maximum=members["max"].integer() if "max" in members else None,
        factor=factor["p95"].number() if "p95" in factor else None,
        per=text_of(members, "per") or None,
        zipf=bool("zipf" in members and members["zipf"].flag()),
    )


def _state(name: str, node: YamlNode) -> State:
    members = node.members(STATE, required=("emits",))
    total, abandon = number_of(members, "total"), number_of(members, "abandon") or 0.0
    return State(
        name=name,
        emits=text_of(members, "emits"),
        next=_transitions(members["next"], (total or 100.0) - abandon) if "next" in members else (),
        total=100.0 if total is None else total,
        outcome=members["outcome"].one_of(OUTCOMES) or "completed" if "outcome" in members else None,
        abandon=abandon,
        timeout=read_timeout(members["timeout"]) if "timeout" in members else None,
        fork=read_fork(members["fork"]) if "fork" in members else None,
        compensation=read_way(members["compensation"], "state") if "compensation" in members else None,
        causes=read_causes(members["causes"]) if "causes" in members else (),
    )


def _transitions(node: YamlNode, total: float) -> tuple[Transition, ...]:
    items = [(item, item.members(TRANSITION, required=("to",), renamed={"by": "scaled_by"})) for item in node.items()]
    weights = [number_of(members, "weight") for _, members in items]
    for (item, members), weight in zip(items, weights, strict=True):
        if weight is None and "weight" not in members and len(items) > 1 and item.is_mapping:
            item.complain("'weight' is required where a state has several transitions")
    known = sum(weight for weight in weights if weight is not None)
    rest = (total - known) / (weights.count(None) or 1)  # of the only transition, or in place of an unreadable weight
    return tuple(
        _transition(item, members, rest if weight is None else weight)
        for (item, members), weight in zip(items, weights, strict=True)
    )


def _transition(node: YamlNode, members: Mapping[str, YamlNode], weight: float) -> Transition:
    retry = read_retry(members["retry"]) if "retry" in members else None
    backoff = retry.backoff if retry else None
    if node.is_mapping and "delay" not in members and not backoff:
        node.complain("'delay' is required, but missing")
    if "delay" in members and backoff:
        node.complain("a retry waits as its `backoff` says, so it has no `delay`")
    return Transition(
        to=text_of(members, "to"),
        delay=backoff.delay(1) if backoff else delay_of(members),
        weight=weight,
        retry=retry,
        compensate=flag_of(members, "compensate"),
        scaled_by=text_of(members, "scaled_by") or None,
    )
