"""`stream` and `generate` as a user watches them: plain lines, a summary, a hash, a page."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from eventbus.cli import cli
from eventbus.cli.command import redacted
from tests.unit.chains.pages import Page, rows

RUN = ("--to", "bus", "--seed", "7", "--start", "2026-01-01", "--duration", "20s", "--rate", "100")


def eventbus(*arguments: str) -> Result:
    return CliRunner().invoke(cli, arguments)


def figures(*arguments: str) -> dict[str, object]:
    result = eventbus("stream", *RUN, *arguments, "--json")
    assert result.exit_code == 0, result.output
    account: dict[str, object] = json.loads(result.stdout)
    return account


def test_the_hash_does_not_depend_on_speed_or_sink(tmp_path: Path) -> None:
    """With a start and a seed, the same events come in the same order, however fast and wherever to."""
    account = figures("--speed", "max")
    path = tmp_path / "events.jsonl"
    assert figures("--speed", "40", "--to", f"jsonl:{path}")["sha256"] == account["sha256"]
    assert hashlib.sha256(path.read_bytes()).hexdigest() == account["sha256"]
    assert figures("--speed", "max", "--rate", "101")["sha256"] != account["sha256"]


def test_the_hash_is_that_of_generate() -> None:
    """`generate` with the same arrivals writes the same bytes."""
    arguments = ("--stages", "40/s:10s", "--spacing", "even", "--seed", "7", "--start", "2026-01-01")
    streamed = eventbus("stream", "--to", "bus", *arguments, "--speed", "max", "--json")
    generated = eventbus("generate", *arguments)
    assert json.loads(streamed.stdout)["sha256"] == generated.stderr.split("sha256 ")[1].strip()


def test_types_and_chains_add_up() -> None:
    """The sums of the account: by type, by chain, and over all."""
    account = figures("--speed", "max")
    types, chains = account["types"], account["by_chain"]
    assert isinstance(types, dict)
    assert isinstance(chains, dict)
    assert sum(types.values()) == account["scheduled"]
    assert sum(chain["begun"] for chain in chains.values()) == account["chains"]
    assert sum(chain["active"] for chain in chains.values()) == 0


def test_lines_from_time_to_time() -> None:
    """Figures on stderr as often as was asked for; the account alone is on stdout."""
    result = eventbus("stream", *RUN, "--speed", "20", "--stats-interval", "200ms")
    assert result.exit_code == 0
    moments = re.findall(r"^0:00:0\d  ([\d,]+) events; chains", result.stderr, re.MULTILINE)
    assert len(moments) >= 3
    assert moments == sorted(moments, key=lambda text: int(text.replace(",", "")))
    assert re.search(r"\d events/s of [\d,]+, \d+ chains/s of \d+", result.stderr)
    assert "bus: " in result.stdout
    assert re.search(r"^sha256 [0-9a-f]{64} of the events as lines$", result.stdout, re.MULTILINE)


def test_verbose_has_a_line_for_every_event() -> None:
    """On stderr, in the order of the events' own times."""
    result = eventbus("stream", *RUN, "--speed", "40", "--verbose", "--json")
    lines = result.stderr.splitlines()
    assert len(lines) == json.loads(result.stdout)["scheduled"]
    assert [line[:12] for line in lines] == sorted(line[:12] for line in lines)


def test_the_report_of_a_stream(tmp_path: Path) -> None:
    """Its figures are those of the account."""
    path = tmp_path / "run.html"
    account = figures("--speed", "20", "--report", str(path))
    page = Page(path.read_text())
    assert page.tiles()["events"] == f"{account['scheduled']:,}"
    assert page.run()["SHA-256"] == account["sha256"]
    assert page.run()["time"] == "2026-01-01 00:00:00 UTC to 2026-01-01 00:00:20 UTC"
    assert page.run()["command"].startswith("eventbus stream --to bus --seed 7")
    assert {row[0]: int(row[1].replace(",", "")) for row in rows(page.section("Event types"))} == account["types"]
    assert rows(page.section("Sinks"))[0][:2] == ["bus", f"{account['scheduled']:,}"]
    assert list(tmp_path.iterdir()) == [path]


def test_the_report_of_a_file(tmp_path: Path) -> None:
    """`generate --report` with faults: as many as the ledger has."""
    report, ledger = tmp_path / "run.html", tmp_path / "ledger.jsonl"
    result = eventbus(
        "generate", "--chains", "500", "--out", str(tmp_path / "e.jsonl"), "--ledger", str(ledger),
        "--fault", "late=0.05", "--fault", "drop=0.02", "--report", str(report), "--summary",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    totals = json.loads(ledger.read_text().splitlines()[-1])
    page = Page(report.read_text())
    faults = {row[0]: int(row[1].replace(",", "")) for row in rows(page.section("Faults injected"))}
    assert faults == totals["faults"]
    assert page.tiles()["chains"].startswith("500 of 4")
    assert f"sha256 {page.run()['SHA-256']}" in result.stderr
    assert re.search(r"^agent-execution +\d+ ", result.stderr, re.MULTILINE)


def test_without_asking_there_is_one_line() -> None:
    """`generate` says no more than before."""
    assert len(eventbus("generate", "--chains", "3").stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("stream", "--to", "bus", "--report", "no/such/folder/run.html"), "a folder that exists"),
        (("generate", "--report", "no/such/folder/run.html"), "a folder that exists"),
        (("generate", "--report", "run.txt"), "a name that ends in .html or .svg"),
        (("generate", "--resume", "--out", "x", "--summary"), "no --resume"),
        (("stream", "--to", "bus", "--stats-interval", "0s"), "more than 0 seconds"),
        (("stream", "--to", "bus", "--speed", "0"), "0"),
        (("stream", "--to", "bus", "--speed", "fast"), "fast"),
    ],
)
def test_wrong_usage(arguments: tuple[str, ...], said: str) -> None:
    """Exit code 2, before anything is done."""
    result = eventbus(*arguments)
    assert result.exit_code == 2
    assert said in result.stderr


def test_secrets_are_not_repeated() -> None:
    """A page is to be shown around: passwords and keys of the command line are not on it."""
    typed = ["--sasl-password", "hunter2", "--http-header=x-api-key: k", "--to", "http://me:pass@host/", "--rate", "5"]
    shown = ["--sasl-password", "…", "--http-header=…", "--to", "http://…@host/", "--rate", "5"]
    assert list(redacted(typed, {"--sasl-password", "--http-header"})) == shown
