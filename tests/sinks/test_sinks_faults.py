"""`eventbus stream --fault … --ledger …` into sinks, as a user runs it."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from asyncio.subprocess import PIPE
from pathlib import Path

import pytest

from eventbus.catalog import Catalog
from eventbus.chains.faults import KINDS
from eventbus.chains.verification import verify
from tests.sinks.conftest import Server

STREAM = ("-m", "eventbus", "stream", "--seed", "3", "--rate", "500", "--speed", "10")
FAULTS = tuple(part for kind in KINDS for part in ("--fault", f"{kind}=0.03"))


async def stream(folder: Path, *arguments: str, stop_after: int = 0) -> tuple[int | None, str, str]:
    """Exit code, stdout and stderr; Ctrl-C comes after so many lines."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, *STREAM, *arguments, stdout=PIPE, stderr=PIPE, cwd=folder
    )
    async with asyncio.timeout(60):
        if stop_after:
            assert process.stdout is not None
            for _ in range(stop_after):
                await process.stdout.readline()
            process.send_signal(signal.SIGINT)
        out, err = await process.communicate()
    return process.returncode, out.decode(errors="replace"), err.decode(errors="replace")


def is_explained(events: Path, ledger: Path) -> bool:
    """Whether the file has all that the ledger says, and nothing else."""
    report = verify(events.read_bytes().splitlines(), Catalog.default(), ledger=ledger.read_bytes().splitlines())
    (check,) = [check for check in report.checks if check.name == "ledger"]
    assert report.ledger is not None
    return check.passed and len(report.ledger) > 5


async def test_every_sink_has_the_faults_of_the_ledger(tmp_path: Path, server: Server) -> None:
    """Files, standard output and a bus have the same lines; a server has those that are JSON."""
    code, out, err = await stream(
        tmp_path, *FAULTS, "--ledger", "ledger.jsonl", "--duration", "10s", "--to", "jsonl:events.jsonl",
        "--to", "stdout", "--to", "bus", "--to", server.url,
    )  # fmt: skip
    assert code == 0, err
    assert is_explained(tmp_path / "events.jsonl", tmp_path / "ledger.jsonl")
    assert out == (tmp_path / "events.jsonl").read_bytes().decode(errors="replace")
    counts = json.loads((tmp_path / "ledger.jsonl").read_bytes().splitlines()[-1])["faults"]
    assert f"faults: {counts['drop']} drop" in err or f" {counts['drop']} drop," in err


async def test_ctrl_c_leaves_a_whole_ledger(tmp_path: Path) -> None:
    """It closes with the totals, and says what was under way."""
    code, _, err = await stream(
        tmp_path, *FAULTS, "--ledger", "ledger.jsonl", "--to", "jsonl:events.jsonl", "--to", "stdout", stop_after=400
    )
    assert code == 0, err
    assert is_explained(tmp_path / "events.jsonl", tmp_path / "ledger.jsonl")
    assert b'"record":"unsent"' in (tmp_path / "ledger.jsonl").read_bytes()


async def test_cloudevents_with_faults(tmp_path: Path) -> None:
    """Events take their form behind the faults: what is an event is a CloudEvent, the rest is as it was struck."""
    code, _, err = await stream(
        tmp_path, "--fault", "poison=0.1", "--fault", "wrong-tenant=0.1", "--format", "cloudevents", "--duration", "3s",
        "--to", "jsonl:events.jsonl",
    )  # fmt: skip
    assert code == 0, err
    lines = (tmp_path / "events.jsonl").read_bytes().splitlines()
    whole = [json.loads(line) for line in lines if line[:1] != b"\xff"]
    assert {one["specversion"] for one in whole} == {"1.0"}
    assert len(whole) < len(lines)
    assert any("-other-" in one["tenantid"] for one in whole)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--fault", "drop=0.1,chain=nope"), "the run has no chain 'nope'"),
        (("--fault", "drop=2"), "expected a rate of 0 to 1"),
        (("--ledger", "nowhere/ledger.jsonl"), "nowhere/ledger.jsonl"),
        (("--ledger", "ledger.jsonl", "--format", "avro"), "--fault and --ledger are about JSON"),
    ],
)
async def test_wrong_usage(tmp_path: Path, arguments: tuple[str, ...], message: str) -> None:
    """It is said what was wrong, and no file is written."""
    code, _, err = await stream(tmp_path, *arguments, "--to", "bus", "--duration", "1s")
    assert code in (1, 2)
    assert message in err
