"""`eventbus generate --like LEDGER`: a run again, from its ledger alone."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from eventbus.cli import cli
from tests.unit.chains.shop import CATALOG

FAULTS = ("--fault", "late=0.05", "--fault", "duplicate=0.05", "--fault", "poison=0.02", "--fault", "reorder=0.05")


def run(*arguments: str) -> Result:
    return CliRunner().invoke(cli, arguments)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "shop.yaml").write_text(CATALOG)
    return tmp_path


@pytest.mark.parametrize(
    "options",
    [
        ("--chains", "300"),
        ("--duration", "1m", "--seed", "7", "--start", "2027-05-01T10:30:00.000001Z", "--rate", "3.5"),
        ("--duration", "2d", "--profile", "visitors", "--time-zone", "Europe/Berlin", "--spacing", "even"),
        ("--duration", "30s", "--users", "9", "--think", "10ms..2s", "--stagger", "3s", "--tenants", "5:1.2"),
        ("--stages", "1-20/s:20s,20/s:10s"),
        ("--scenario", "incident", "--set", "phases[1].failed=3", "--set", "seed=9", "--duration", "10m"),
        ("--catalog", "shop.yaml", "--chain", "order", "--chain", "vault-read", "--chains", "200"),
    ],
    ids=["chains", "rate", "profile", "users", "stages", "scenario", "catalog"],
)
@pytest.mark.parametrize("faults", [(), FAULTS], ids=["clean", "faulty"])
def test_a_generated_file_comes_again_byte_for_byte(
    folder: Path, options: tuple[str, ...], faults: tuple[str, ...]
) -> None:
    first = run("generate", *options, *faults, "--out", "events.jsonl", "--ledger", "ledger.jsonl")
    assert first.exit_code == 0, first.output
    again = run("generate", "--like", "ledger.jsonl", "--out", "again.jsonl", "--ledger", "second.jsonl")
    assert again.exit_code == 0, again.output
    text = (folder / "events.jsonl").read_bytes()
    assert text.count(b"\n") > 50
    assert (folder / "again.jsonl").read_bytes() == text
    ledgers = [
        [json.loads(line) for line in (folder / name).read_bytes().splitlines()]
        for name in ("ledger.jsonl", "second.jsonl")
    ]
    assert ledgers[0] == ledgers[1]


def test_workers_and_formats_go_with_it(folder: Path) -> None:
    """What does not change the run is free."""
    assert run("generate", "--chains", "3000", *FAULTS, "--ledger", "ledger.jsonl").exit_code == 0
    lines = run("generate", "--like", "ledger.jsonl").stdout_bytes
    assert lines.count(b"\n") > 3000
    assert run("generate", "--like", "ledger.jsonl", "--workers", "2", "--summary").stdout_bytes == lines
    cloud = run("generate", "--chains", "3000", *FAULTS, "--format", "cloudevents").stdout_bytes
    assert run("generate", "--like", "ledger.jsonl", "--format", "cloudevents").stdout_bytes == cloud


def test_a_stream_that_came_to_its_end_is_generated_again(folder: Path) -> None:
    """Both print the SHA-256 of their lines."""
    options = ("--speed", "max", "--duration", "20s", "--initial-chains", "30")
    streamed = run("stream", "--to", "bus", *options, *FAULTS, "--ledger", "ledger.jsonl", "--plain")
    assert streamed.exit_code == 0, streamed.output
    again = run("generate", "--like", "ledger.jsonl", "--out", "again.jsonl")
    assert again.exit_code == 0, again.output
    (digest,) = re.findall(r"sha256 (\w{64})", streamed.output)
    assert f"sha256 {digest}" in again.stderr


def test_a_stream_that_was_stopped_is_generated_as_far_as_it_came(folder: Path) -> None:
    """A stop may come between the ledger and the sink: then the last lines are in the ledger only."""
    options = ("--rate", "max", "--duration", "300ms")
    streamed = run("stream", "--to", "jsonl:events.jsonl", *options, *FAULTS, "--ledger", "ledger.jsonl", "--plain")
    assert streamed.exit_code == 0, streamed.output
    again = run("generate", "--like", "ledger.jsonl").stdout_bytes
    published = (folder / "events.jsonl").read_bytes()
    assert published.count(b"\n") > 50
    assert again.startswith(published)
    assert again.count(b"\n") == json.loads((folder / "ledger.jsonl").read_bytes().splitlines()[-1])["lines"]


@pytest.mark.parametrize(
    "options",
    [
        ("--seed", "8"),
        ("--start", "2027-01-01"),
        ("--rate", "3"),
        ("--users", "3"),
        ("--tenants", "3"),
        ("--chain", "vault-read"),
        ("--chains", "3"),
        ("--duration", "1m"),
        ("--fault", "drop=0.1"),
        ("--from", "2026-01-01"),
        ("--until", "2027-01-01"),
        ("--index", "3"),
        ("--resume",),
    ],
    ids=lambda options: options[0],
)
def test_an_option_that_the_ledger_contradicts_is_refused(folder: Path, options: tuple[str, ...]) -> None:
    """The sentence names both."""
    assert run("generate", "--chains", "3", "--ledger", "ledger.jsonl").exit_code == 0
    refused = run("generate", "--like", "ledger.jsonl", *options)
    assert refused.exit_code == 2
    assert f"{options[0]} contradicts --like, which repeats the run of ledger.jsonl as it was" in refused.output


def test_another_catalog_is_refused_and_a_moved_one_accepted(folder: Path) -> None:
    options = ("--catalog", "shop.yaml", "--chain", "order", "--chains", "60")
    lines = run("generate", *options, "--ledger", "ledger.jsonl").stdout_bytes
    (folder / "shop.yaml").rename(folder / "moved.yaml")
    missing = run("generate", "--like", "ledger.jsonl")
    assert missing.exit_code == 2
    assert "shop.yaml" in missing.output
    assert run("generate", "--like", "ledger.jsonl", "--catalog", "moved.yaml").stdout_bytes == lines
    (folder / "moved.yaml").write_text(CATALOG.replace("max: 9", "max: 8"))
    other = run("generate", "--like", "ledger.jsonl", "--catalog", "moved.yaml")
    assert other.exit_code == 2
    assert re.search(r"the ledger's run had the catalog \w{12} .* and this is \w{12}", " ".join(other.output.split()))


def test_another_version_is_noted(folder: Path) -> None:
    lines = run("generate", "--chains", "3", "--ledger", "ledger.jsonl").stdout_bytes
    ledger = folder / "ledger.jsonl"
    ledger.write_bytes(ledger.read_bytes().replace(b'"version":"', b'"version":"0.0.', 1))
    again = run("generate", "--like", "ledger.jsonl")
    assert again.stdout_bytes == lines
    assert again.stderr.startswith("note: the ledger is of version 0.0.")


def test_what_is_no_ledger_is_refused(folder: Path) -> None:
    run("generate", "--chains", "3", "--out", "events.jsonl")
    refused = run("generate", "--like", "events.jsonl")
    assert refused.exit_code == 2
    assert "--like events.jsonl: expected a ledger" in refused.output
