"""One seed, one stream of bytes, kept here: today, next year, and on every machine.

When the bytes change on purpose, say so in the change log, and write the new ones with
`python -m tests.golden.test_generator_golden`.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from eventbus.catalog import Catalog
from eventbus.chains import ChainGenerator

FOLDER = Path(__file__).parent
LINES = FOLDER / "generator.jsonl"
CHAINS = 20_000
DIGEST = "a3a2a4bb432acec93c565904c8523eb6ea9ce817e3240f74505d18466f85234c"


def generator(block: int | None = None) -> ChainGenerator:
    return ChainGenerator(Catalog.load(FOLDER / "generator_catalog.yaml", extend=False), seed=7, rate=20, block=block)


def first_lines() -> bytes:
    return b"".join(bytes(block.buffer) for block in generator().blocks(chains=12))


def digest(block: int | None = None) -> str:
    found = hashlib.sha256()
    for one in generator(block).blocks(chains=CHAINS):
        found.update(one.buffer)
    return found.hexdigest()


def test_the_first_lines() -> None:
    """The first twelve chains are these lines."""
    assert first_lines().splitlines() == LINES.read_bytes().splitlines()


@pytest.mark.parametrize("block", [None, 100, 5000])
def test_the_digest(block: int | None) -> None:
    """Twenty thousand chains have this digest, however the work is cut."""
    assert digest(block) == DIGEST


if __name__ == "__main__":
    LINES.write_bytes(first_lines())
    print(digest())
