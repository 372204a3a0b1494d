"""What a state may have beside plain transitions, read from its node; mistakes are noted, as in `read_chains`."""

from __future__ import annotations

from collections.abc import Mapping

from eventbus.catalog.model import Causes
from eventbus.catalog.model_delays import Delay, Fixed
from eventbus.catalog.reading.delays import read_delay
from eventbus.catalog.reading.source import Node, text_of
from eventbus.catalog.topology import Backoff, Fork, Retry, Timeout, Unless, Way


def read_way(node: Node, target: str = "to") -> Way:
    """A target and the delay before it; the target under another name, if need be."""
    members = node.members((target, "delay"), required=(target, "delay"))
    return Way(to=text_of(members, target), delay=delay_of(members))


def read_timeout(node: Node) -> Timeout:
    members = node.members(("after", "to"), required=("after", "to"))
    return Timeout(after=number_of(members, "after") or 0.0, to=text_of(members, "to"))


def read_retry(node: Node) -> Retry:
    members = node.members(("limit", "backoff", "else"), required=("limit", "else"))
    limit = members["limit"].integer() if "limit" in members else None
    return Retry(
        limit=1 if limit is None else limit,
        otherwise=_undoing_way(members["else"]) if "else" in members else Way(to="", delay=Fixed(value=0)),
        backoff=_backoff(members["backoff"]) if "backoff" in members else None,
    )


def _backoff(node: Node) -> Backoff:
    members = node.members(("initial", "factor", "max", "jitter"), required=("initial",))
    factor = number_of(members, "factor")
    return Backoff(
        initial=number_of(members, "initial") or 0.0,
        factor=2.0 if factor is None else factor,
        maximum=number_of(members, "max"),
        jitter=number_of(members, "jitter") or 0.0,
    )


def read_fork(node: Node) -> Fork:
    members = node.members(("branches", "join"), required=("branches", "join"))
    branches = members["branches"].items() if "branches" in members else []
    if "branches" in members and members["branches"].is_list and len(branches) < 2:
        members["branches"].complain(f"expected at least 2 branches, got {len(branches)}")
    return _fork(tuple(map(read_way, branches)), members.get("join"))


def _fork(branches: tuple[Way, ...], node: Node | None) -> Fork:
    if node is None:
        return Fork(branches=branches, join=Way(to="", delay=Fixed(value=0)))
    members = node.members(("to", "delay", "compensate", "unless"), required=("to", "delay"))
    join = Way(to=text_of(members, "to"), delay=delay_of(members), compensate=flag_of(members, "compensate"))
    others = members["unless"].items() if "unless" in members else []
    return Fork(branches=branches, join=join, unless=tuple(_unless(one, join) for one in others))


def _unless(node: Node, join: Way) -> Unless:
    members = node.members(("state", "to", "delay", "compensate"), required=("state", "to"))
    way = Way(
        to=text_of(members, "to"),
        delay=delay_of(members) if "delay" in members else join.delay,
        compensate=flag_of(members, "compensate"),
    )
    return Unless(ended=text_of(members, "state"), way=way)


def read_causes(node: Node) -> tuple[Causes, ...]:
    return tuple(_causes(item) for item in node.items())


def _causes(node: Node) -> Causes:
    members = node.members(("chain", "weight", "delay"), required=("chain", "delay"))
    weight = number_of(members, "weight")
    return Causes(chain=text_of(members, "chain"), delay=delay_of(members), weight=100.0 if weight is None else weight)


def _undoing_way(node: Node) -> Way:
    members = node.members(("to", "delay", "compensate"), required=("to", "delay"))
    return Way(to=text_of(members, "to"), delay=delay_of(members), compensate=flag_of(members, "compensate"))


def delay_of(members: Mapping[str, Node]) -> Delay:
    """The member `delay`; none when it is absent."""
    return read_delay(members["delay"]) if "delay" in members else Fixed(value=0)


def number_of(members: Mapping[str, Node], name: str) -> float | None:
    """The number of a member; None when it is absent or, which is noted, no number."""
    return members[name].number() if name in members else None


def flag_of(members: Mapping[str, Node], name: str) -> bool:
    """Whether a member is there and true."""
    return name in members and members[name].flag() is True
