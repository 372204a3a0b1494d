"""The guide's way from a schema or a recording to a catalog works as it is printed there."""

from __future__ import annotations

import shlex
from pathlib import Path

import orjson
import pytest
from click.testing import CliRunner

from eventbus.cli import cli
from tests.acceptance.manual import commands, page

SCHEMA = {"title": "OrderPlaced", "properties": {"order_id": {"type": "string", "format": "uuid"}}}


def run(command: str) -> str:
    """The output of a command that succeeds."""
    result = CliRunner().invoke(cli, shlex.split(command, comments=True)[1:])
    assert result.exit_code == 0, result.output
    return result.output


def test_the_commands_of_the_guide(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One after the other; what they write has no mistakes."""
    monkeypatch.chdir(tmp_path)
    Path("order-placed.schema.json").write_bytes(orjson.dumps(SCHEMA))
    [example] = [example for example in page("catalog.md").examples if "catalog init" in example.text]
    for command in commands(example):
        run(command)
    assert "1 mistake" not in run("eventbus catalog lint --alone mine.yaml learned.yaml")
    assert run("eventbus catalog lint fitted.yaml").startswith("no mistakes")
    assert Path("like-recorded.jsonl").stat().st_size > 0


def test_some_events_are_enough_for_init(tmp_path: Path) -> None:
    """JSON lines are learned from."""
    events, out = tmp_path / "some.jsonl", tmp_path / "made.yaml"
    run(f"eventbus generate --chain vault-read --chains 3 --out {events}")
    assert "Learned from some.jsonl: 6 events of 3 chains" in run(f"eventbus catalog init --from {events} --out {out}")
    assert run(f"eventbus catalog lint {out}") == "no mistakes in 1 chain and 2 event types\n"


@pytest.mark.parametrize(
    ("command", "code", "sentence"),
    [
        ("catalog init --from nothing.json", 2, "does not exist"),
        ("catalog init --from bad.json", 2, "expected a JSON Schema of events, or an AsyncAPI document"),
        ("catalog learn nothing.jsonl", 2, "No such file"),
        ("catalog learn bad.json", 1, "bad.json has no complete chain to learn from."),
        ("catalog learn bad.json --catalog mine.yaml", 2, "--catalog needs --merge"),
    ],
)
def test_mistakes_have_an_exit_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str, code: int, sentence: str
) -> None:
    """2 for wrong usage, 1 for nothing learned; nothing is written."""
    monkeypatch.chdir(tmp_path)
    Path("bad.json").write_text("{}")
    result = CliRunner().invoke(cli, [*command.split(), "--out", "made.yaml"])
    assert result.exit_code == code
    assert sentence in result.stderr
    assert not Path("made.yaml").exists()
