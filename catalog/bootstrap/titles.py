"""Event types as a catalog names them, from whatever a document calls its messages."""

from __future__ import annotations

import re
from collections.abc import Container

from eventbus.catalog.bootstrap.names import words
from eventbus.catalog.bootstrap.words import BEGINS, ENDS_BADLY, ENDS_WELL, GOES_ON
from eventbus.catalog.checks.everything import event_name

NOISE = {"event", "message", "msg", "payload", "schema", "dto", "data", "envelope", "notification", "topic", "json"}
ACTIONS = BEGINS | GOES_ON | ENDS_WELL | ENDS_BADLY
VERSION = re.compile(r"v?(\d+)([._]\d+)*")


def event_type(name: str, organisation: str, taken: Container[str] = ()) -> str:
    """`OrderCreated` → `shop.order.created.v1`; a name that a catalog takes stays as it is.

    Args:
        name: as the document has it.
        organisation: the first word, where the name has none.
        taken: names of other event types.
    """
    if event_name.fullmatch(name):
        return name
    version, rest = _version(name)
    parts = [word for word in words(rest) if not word.isdecimal()]
    parts = [word for word in parts if word not in NOISE] or parts or ["event"]
    dotted = [".".join(words(part)) for part in re.split(r"[./:]", rest) if words(part)]
    entity, action = _parted(parts)
    if len(dotted) > 2 and dotted[0] in {"com", "org", "io", "net", "de"}:
        entity = entity[1:]  # a reversed domain name
    organisation = "my" if [organisation] == entity else organisation
    first = [organisation] if len(entity) < 2 or len(dotted) < 3 else []
    made = ".".join([*first, *(_word(one) for one in entity), _word("_".join(action))])
    number = 1
    while (found := f"{made}{'' if number == 1 else f'-{number}'}.v{version}") in taken:
        number += 1
    return found


def organisation(title: str) -> str:
    """The first word of event types, from the title of a document: at most two words of it."""
    parts = [word for word in words(title) if word not in NOISE | {"api", "service", "the", "asyncapi", "example"}]
    return _word("-".join(parts[:2]) or "my")


def _parted(parts: list[str]) -> tuple[list[str], list[str]]:
    """What it is about, and what happened to it."""
    if len(parts) > 1 and parts[0] in {"create", "request", "submit", "command"}:
        return parts[1:], parts[:1]
    for at in range(1, len(parts)):
        if parts[at] in ACTIONS or parts[at].endswith("ed"):
            return parts[:at], parts[at:]
    return (parts[:-1], parts[-1:]) if len(parts) > 1 else (parts, ["recorded"])


def _version(name: str) -> tuple[int, str]:
    """The major version that a name ends with, and the name without it."""
    found = re.search(r"[._/ -]v(\d+)(?:[._]\d+)*$|(?<=[a-z])V(\d+)$", name)
    if found is None:
        return 1, name
    return max(int(found[1] or found[2]), 1), name[: found.start()]


def _word(text: str) -> str:
    return text if re.match(r"[a-z]", text) else f"x{text}"
