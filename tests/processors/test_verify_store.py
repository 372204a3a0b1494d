"""`eventbus verify --store` checks stored events and counts against the catalog and the ledger."""

from __future__ import annotations

import asyncio
import io
import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from eventbus.chains import ChainGenerator
from eventbus.chains.faults import KINDS, Fault
from eventbus.cli import cli
from tests.processors.feeding import agent_execution, store_all

UNSEEN = {"late", "reorder"}
"""Faults that a store does not show, because it has no order of arrival."""
TWICE = {"duplicate", "changed-duplicate"}


def stored(dsn: str, ledger: Path, *faults: Fault) -> list[bytes]:
    """Store a run with faults; returns its lines."""
    generator = ChainGenerator(seed=5)
    book = io.BytesIO()
    blocks = generator.injector(faults, book).blocks(generator.blocks(chains=250))
    lines = [line for block in blocks for line in block.lines()]
    ledger.write_bytes(book.getvalue())
    asyncio.run(store_all(dsn, *(None if line == b"null" else line for line in lines)))
    return lines


def verified(dsn: str, *arguments: str) -> tuple[int, dict[str, Any]]:
    """Exit code and report."""
    command = ["verify", "--store", "--database-url", dsn, "--significance", "1e-9", "--json", *arguments]
    result = CliRunner().invoke(cli, command)
    assert result.exit_code in (0, 1), result.output
    return result.exit_code, json.loads(result.stdout)


def failed(report: dict[str, Any]) -> set[str]:
    return {check["name"] for check in report["checks"] if not check["passed"]}


def test_a_sound_store_passes(postgres_dsn: str, tmp_path: Path) -> None:
    """Every event of the ledger is stored, and the counts agree."""
    lines = stored(postgres_dsn, tmp_path / "ledger.jsonl")
    code, report = verified(postgres_dsn, "--ledger", str(tmp_path / "ledger.jsonl"))
    assert (code, failed(report)) == (0, set())
    assert (report["lines"], report["chains"]) == (len(lines), 250)
    assert "order" in {check["name"] for check in report["checks"] if not check["tested"]}


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_is_named(kind: str, postgres_dsn: str, tmp_path: Path) -> None:
    """Faults are found in events, dead letters or duplicates, and explained by the ledger."""
    stored(postgres_dsn, tmp_path / "ledger.jsonl", Fault(kind=kind, rate=0.2 if kind == "missing-started" else 0.05))
    code, alone = verified(postgres_dsn)
    assert (code == 0) == (kind in UNSEEN)
    if kind not in UNSEEN:
        assert ("duplicate" if kind in TWICE else KINDS[kind].looks_like) in alone["faults"]
    code, report = verified(postgres_dsn, "--ledger", str(tmp_path / "ledger.jsonl"))
    assert "ledger" not in failed(report)
    assert list(report["faults"]) == [kind]
    found = {finding["fault"] for check in report["checks"] for finding in check["findings"]}
    assert found - {None} == (set() if kind in UNSEEN else {kind})
    assert (code == 0) == (kind in UNSEEN)


def test_every_kind_at_once(postgres_dsn: str, tmp_path: Path) -> None:
    """The ledger explains every finding."""
    stored(postgres_dsn, tmp_path / "ledger.jsonl", *(Fault(kind=kind, rate=0.03) for kind in KINDS))
    _, report = verified(postgres_dsn, "--ledger", str(tmp_path / "ledger.jsonl"))
    assert "ledger" not in failed(report)
    assert set(report["faults"]) == set(KINDS)


def test_a_run_that_was_cut_off(postgres_dsn: str, tmp_path: Path) -> None:
    """Events held back at the end of a run are not expected."""
    generator, book = ChainGenerator(seed=5), io.BytesIO()
    stage = generator.injector([Fault(kind=kind, rate=0.1) for kind in ("late", *TWICE)], book)
    lines: list[bytes] = []
    for block in generator.window(until=generator.start + timedelta(seconds=20)):
        lines += stage.inject(block, int(block.table.time[-1]) - 1).lines()
    stage.close()
    (tmp_path / "ledger.jsonl").write_bytes(book.getvalue())
    assert book.getvalue().count(b'"unsent"') > 20
    asyncio.run(store_all(postgres_dsn, *lines))
    _, report = verified(postgres_dsn, "--ledger", str(tmp_path / "ledger.jsonl"))
    assert "ledger" not in failed(report)


def test_dead_letters_have_places(postgres_dsn: str, tmp_path: Path) -> None:
    """A finding about a dead letter has the position of the record."""
    lines = stored(postgres_dsn, tmp_path / "ledger.jsonl")
    asyncio.run(store_all(postgres_dsn, b"\xff"))
    _, report = verified(postgres_dsn)
    (readable,) = [check for check in report["checks"] if check["name"] == "readable"]
    assert [finding["place"] for finding in readable["findings"]] == [f"omninode.agent[0]@{len(lines)}"]


def test_what_the_ledger_does_not_say(postgres_dsn: str, tmp_path: Path) -> None:
    """An event, a dead letter and a duplicate that are not of the run are found."""
    lines = stored(postgres_dsn, tmp_path / "ledger.jsonl")
    asyncio.run(store_all(postgres_dsn, b"\xff", lines[3], *agent_execution(), group="other"))
    code, report = verified(postgres_dsn, "--ledger", str(tmp_path / "ledger.jsonl"))
    assert code == 1
    text = json.dumps([check for check in report["checks"] if check["name"] == "ledger"])
    assert "poison: 1 line not in the ledger" in text
    assert "1 event came again, of 0 in the ledger" in text
    assert text.count("is not in the ledger") == 4


@pytest.mark.parametrize("arguments", [[], ["-", "--store"], ["--store", "--topic", "a"], ["--topic", "a,,b"]])
def test_one_source(arguments: list[str]) -> None:
    """Exactly one of a file, topics or the store is accepted."""
    result = CliRunner().invoke(cli, ["verify", *arguments], input="")
    assert result.exit_code == 2
    assert "expected" in result.stderr
