"""Names that a catalog takes, from names that it would not."""

from __future__ import annotations

import re
from collections.abc import Container


def words(name: str) -> list[str]:
    """The words of a name, in lower case, however they are joined: `userSignedUp`, `user-signed.up`, `HTTPError`."""
    parted = re.sub(r"([a-z0-9])([A-Z])|([A-Z]+)([A-Z][a-z])", r"\1\3 \2\4", name)
    return [word.lower() for word in re.findall(r"[A-Za-z0-9]+", parted)]


def dashed(name: str, joint: str = "_") -> str:
    """A name of a chain or a list: words that begin with a letter."""
    text = joint.join(words(name))
    return re.sub(r"^[^a-z]+", "", text) or "value"


def unique(name: str, taken: Container[str]) -> str:
    """The name, with a number behind it if there is one already."""
    if name not in taken:
        return name
    number = 2
    while f"{name}-{number}" in taken:
        number += 1
    return f"{name}-{number}"
