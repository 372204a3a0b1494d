"""`eventbus generate`, as a user runs it."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from eventbus.chains import ChainGenerator
from eventbus.cli import cli
from eventbus.event import Event

PROGRAM = [sys.executable, "-m", "eventbus", "generate"]


def generate(*arguments: str) -> Result:
    return CliRunner().invoke(cli, ["generate", *arguments])


def stream(**settings: object) -> bytes:
    """What the generator makes of 100 chains."""
    return b"".join(bytes(block.buffer) for block in ChainGenerator(**settings).blocks(chains=100))  # type: ignore[arg-type]


def test_without_options_it_shows_a_hundred_chains() -> None:
    """stdout has the lines, stderr one line of account with their digest."""
    result = generate()
    assert result.exit_code == 0
    assert result.stdout_bytes == stream(seed=0)
    assert result.stderr.count("\n") == 1
    assert "of 100 chains" in result.stderr
    assert hashlib.sha256(result.stdout_bytes).hexdigest() in result.stderr


def test_seed_start_and_rate_are_the_generators() -> None:
    """The options mean what the arguments of `ChainGenerator` mean."""
    result = generate("--chains", "100", "--seed", "7", "--rate", "3.5", "--start", "2027-05-01")
    assert result.stdout_bytes == stream(seed=7, rate=3.5, start=datetime(2027, 5, 1, tzinfo=UTC))


@pytest.mark.parametrize(("text", "seconds"), [("30s", 30), ("1m30s", 90), ("0.5m", 30), ("500ms", 0.5)])
def test_duration(text: str, seconds: float) -> None:
    """A duration has units, and bounds the beginnings of chains in virtual time."""
    roots = sum(event.causation_id is None for event in ChainGenerator().events(duration=seconds))
    assert f"of {roots} chains" in generate("--duration", text).stderr


def test_only_some_chains() -> None:
    """`--chain`, repeated, leaves the others out."""
    result = generate("--chains", "50", "--chain", "vault-read", "--chain", "pattern-discovery")
    types = {json.loads(line)["event_type"].split(".")[1] for line in result.stdout.splitlines()}
    assert types == {"vault", "pattern"}


def test_a_file_is_complete_or_not_there(tmp_path: Path) -> None:
    """The file has the whole stream under its name, and no other is left."""
    out = tmp_path / "events.jsonl"
    out.write_text("old")
    result = generate("--chains", "100", "--seed", "7", "--out", str(out))
    assert result.exit_code == 0
    assert result.stdout == ""
    assert out.read_bytes() == stream(seed=7)
    assert str(out) in result.stderr
    assert list(tmp_path.iterdir()) == [out]


def test_a_device_is_written_to_not_replaced() -> None:
    """`--out /dev/null` leaves the device what it is."""
    assert generate("--chains", "3", "--out", os.devnull).exit_code == 0
    assert Path(os.devnull).is_char_device()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--rate", "0"], "expected a rate"),
        (["--duration", "5"], "expected a number with a unit (ms, s, m, h, d, w), such as 30s or 1h30m, got '5'"),
        (["--start", "soon"], "expected a time such as 2026-01-01T00:00:00Z, got 'soon'"),
        (["--start", "1950-01-01"], "from 1970 to 2199"),
        (["--chain", "nope"], "no chain 'nope' in the catalog; there are:"),
        (["--chains", "-1"], "-1"),
    ],
)
def test_wrong_usage(arguments: list[str], message: str) -> None:
    """Exit code 2, and what was expected."""
    result = generate(*arguments)
    assert result.exit_code == 2
    assert message in result.stderr
    assert result.stdout == ""


def test_catalog_mistakes_are_printed(tmp_path: Path) -> None:
    """A bad catalog is refused with all its mistakes and exit code 2; nothing is written."""
    bad = tmp_path / "bad.yaml"
    bad.write_text("events:\n  omninode.x.requested.v1: {source: a, colour: red}\nchains:\n  c: {weight: -1}\n")
    out = tmp_path / "events.jsonl"
    result = generate("--catalog", str(bad), "--out", str(out))
    assert result.exit_code == 2
    assert result.stderr.count("bad.yaml:") >= 2
    assert not out.exists()


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    """Exit code 1, with the name of the file."""
    result = generate("--out", str(tmp_path / "nowhere" / "x.jsonl"))
    assert result.exit_code == 1
    assert "x.jsonl" in result.stderr


def test_a_reader_that_has_seen_enough() -> None:
    """`| head -1`: exit code 0 and not a word."""
    with subprocess.Popen([*PROGRAM, "--chains", "1000000"], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        Event.from_bytes(process.stdout.readline())
        process.stdout.close()
        assert process.wait(60) == 0
        assert process.stderr.read() == b""


def test_an_interrupted_run_leaves_no_file(tmp_path: Path) -> None:
    """Ctrl-C: exit code 130, one line that says what was written, and no file."""
    out = tmp_path / "events.jsonl"
    with subprocess.Popen([*PROGRAM, "--duration", "9999d", "--out", str(out)], stderr=subprocess.PIPE) as process:
        while not any(path.stat().st_size for path in tmp_path.iterdir()):
            assert process.poll() is None
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130
        assert process.stderr is not None
        message = process.stderr.read().decode()
    assert message.startswith("interrupted after ")
    assert message.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_progress_goes_to_stderr() -> None:
    """With `--progress` stdout is still the stream alone."""
    result = generate("--chains", "100", "--progress")
    assert result.stdout_bytes == stream(seed=0)
    assert generate("--duration", "10s", "--progress").exit_code == 0


def test_help_has_an_example() -> None:
    """`--help` shows how to call it."""
    assert "eventbus generate --duration 1h --seed 7 --out events.jsonl" in generate("--help").stdout


def test_faults_and_their_ledger(tmp_path: Path) -> None:
    """`--fault` changes the stream, `--ledger` says how; the same arguments give the same bytes in both."""
    out, ledger = tmp_path / "events.jsonl", tmp_path / "ledger.jsonl"
    arguments = ["--seed", "7", "--out", str(out), "--ledger", str(ledger), "--fault", "drop=0.1"]
    bounded = ["--fault", "late=0.1,min=2s,max=3s,chain=agent-execution,chain=vault-read"]
    result = generate(*arguments, *bounded)
    assert result.exit_code == 0
    written = out.read_bytes(), ledger.read_bytes()
    run, *records, totals = map(json.loads, written[1].splitlines())
    assert [fault["kind"] for fault in run["faults"]] == ["drop", "late"]
    assert run["faults"][1]["bounds"] == [2_000_000, 3_000_000]
    assert len(written[0].splitlines()) == totals["lines"] == totals["events"] - totals["faults"]["drop"]
    late = [record for record in records if record.get("fault") == "late"]
    assert {record["name"] for record in late} == {"agent-execution", "vault-read"}
    assert generate(*arguments, *bounded).exit_code == 0
    assert written == (out.read_bytes(), ledger.read_bytes())


def test_a_clean_run_has_a_ledger_too(tmp_path: Path) -> None:
    """`--ledger` alone leaves the stream as it is."""
    ledger = tmp_path / "ledger.jsonl"
    result = generate("--seed", "7", "--ledger", str(ledger))
    assert result.stdout_bytes == stream(seed=7)
    assert json.loads(ledger.read_bytes().splitlines()[-1])["chains"] == 100


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("late", "expected KIND=RATE[,min=…,max=…,chain=…,type=…,field=…]"),
        ("lat=0.1", "no fault 'lat'; there are: drop, "),
        ("late=2", "expected a rate of 0 to 1 for late"),
        ("late=0.1,by=3s", "got 'by=3s'"),
        ("late=0.1,min=3", "expected a number with a unit"),
        ("late=0.1,min=3s,max=1s", "expected bounds that rise"),
        ("reorder=0.1,max=1s", "expected a whole number of places for reorder, got '1s'"),
        ("drop=0.1,chain=nope", "no chain 'nope' for the fault drop"),
    ],
)
def test_a_wrong_fault(fault: str, message: str, tmp_path: Path) -> None:
    """Exit code 2, what was expected, and no file."""
    result = generate("--fault", fault, "--out", str(tmp_path / "e.jsonl"), "--ledger", str(tmp_path / "l.jsonl"))
    assert result.exit_code == 2
    assert message in result.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("fault", "bounds"),
    [("late=0.1,max=500ms", (500_000, 500_000)), ("late=0.1,min=1m", (60_000_000, 60_000_000)), ("drop=0.1", None)],
)
def test_one_bound_is_enough(fault: str, bounds: tuple[int, int] | None) -> None:
    """The other is the kind's own, or the same where that lies on the wrong side."""
    from eventbus.cli.options.faults import fault as parse_fault

    assert parse_fault(fault).bounds == bounds
