"""One seed, one stream of sessions, kept here.

When the bytes change on purpose, say so in the change log, and write the new ones with
`python -m tests.golden.test_visitors_golden`.
"""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from eventbus.catalog import Catalog
from eventbus.chains import ChainGenerator

FOLDER = Path(__file__).parent
LINES = FOLDER / "visitors.jsonl"
SESSIONS = 5000
DIGEST = "05e188c0bfe8ae6d204ea9f10ade620c247aebff1654824ab4a79f5cfb5e8dc9"


@cache
def catalog() -> Catalog:
    """The catalog beside this file, which spells `per` of a variable `by`."""
    text = (FOLDER / "visitors_catalog.yaml").read_text("utf-8").replace(", by: user}", ", per: user}")
    with TemporaryDirectory() as folder:
        file = Path(folder) / "visitors_catalog.yaml"
        file.write_text(text, encoding="utf-8")
        return Catalog.load(file, extend=False)


def generator(block: int | None = None) -> ChainGenerator:
    return ChainGenerator(catalog(), seed=7, block=block)


def first_lines() -> bytes:
    return b"".join(bytes(block.buffer) for block in generator().blocks(chains=5))


def digest(block: int | None = None) -> str:
    found = hashlib.sha256()
    for one in generator(block).blocks(chains=SESSIONS):
        found.update(one.buffer)
    return found.hexdigest()


def test_the_first_visitors() -> None:
    """The first five sessions are these lines."""
    assert first_lines().splitlines() == LINES.read_bytes().splitlines()


@pytest.mark.parametrize("block", [None, 300])
def test_the_digest_of_sessions(block: int | None) -> None:
    """Five thousand sessions have this digest, however the work is cut."""
    assert digest(block) == DIGEST


if __name__ == "__main__":
    LINES.write_bytes(first_lines())
    print(digest())
