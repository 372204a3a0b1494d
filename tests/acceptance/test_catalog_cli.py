"""`eventbus catalog` as a person and as a machine use it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result

from eventbus.catalog import Catalog
from eventbus.cli.commands.catalog import catalog

MINE = """\
source: mine
events:
  mine.door.opened.v1: {description: A door opens.}
  mine.door.closed.v1: {description: It closes.}
chains:
  door:
    weight: 5
    start: opened
    states:
      opened: {emits: mine.door.opened.v1, next: [{to: closed, delay: {fixed: 20}}]}
      closed: {emits: mine.door.closed.v1, outcome: completed}
"""


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    """A user's catalog file."""
    path = tmp_path / "mine.yaml"
    path.write_text(MINE)
    return path


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(catalog, [str(argument) for argument in arguments])


def test_list_names_every_chain_and_event_type() -> None:
    """Chains with their shares, and event types with what they mean; a chain of weight 0 is off."""
    result = run("list")
    assert result.exit_code == 0
    for name in (*Catalog.default().chains, *Catalog.default().events):
        assert name in result.output
    assert "30.0%" in result.output
    assert "off" in result.output


def test_list_for_a_machine(mine: Path) -> None:
    """`--json` has the same, and a user's file counts."""
    listed = json.loads(run("list", "--json", "--catalog", mine).output)
    chains = {row["name"]: row for row in listed["chains"]}
    assert chains["door"]["share"] == 5 / 105
    events = {row["name"]: row for row in listed["events"]}
    assert events["mine.door.opened.v1"]["chains"] == ["door"]


def test_show_draws_a_chain() -> None:
    """A tree with delays, shares, event types and outcomes."""
    output = run("show", "agent-execution").output
    assert "└── 50–150 ms → routed  omninode.agent.routing.completed.v1" in output
    assert "├── 90%  500–1500 ms → completed  omninode.agent.execution.completed.v1  ■ completed" in output
    assert "└── 10%  500–1500 ms → failed  omninode.agent.execution.failed.v1  ■ failed" in output


def test_show_does_not_follow_a_loop() -> None:
    """A state seen before is named, not drawn again."""
    assert "65%  median 250 ms, p95 1500 ms → ↺ discovered" in run("show", "pattern-discovery").output


def test_show_describes_an_event_type() -> None:
    """Its payload with the source of every value, and an example."""
    output = run("show", "omninode.agent.execution.failed.v1").output
    assert "from list agent_error.class" in output
    assert "emitted by agent-execution (failed)" in output
    assert '"error_class": "TimeoutError"' in output


def test_show_for_a_machine(mine: Path) -> None:
    """`--json` gives the chain as data, and an event type with schema and example."""
    chain = json.loads(run("show", "door", "--json", "--catalog", mine).output)
    assert chain["states"]["opened"]["next"][0]["delay_ms"] == {"fixed": 20}
    event = json.loads(run("show", "mine.door.closed.v1", "--json", "--catalog", mine).output)
    assert event["emitted"] == [{"chain": "door", "state": "closed"}]
    assert event["example"]["event_type"] == event["name"] == event["schema"]["title"]


def test_show_of_an_unknown_name() -> None:
    """Wrong usage: exit code 2, and the nearest name."""
    result = run("show", "agent-executon")
    assert result.exit_code == 2
    assert "no chain or event type 'agent-executon' (did you mean 'agent-execution'?)" in result.output


def test_what_has_no_description_has_no_line_for_it(tmp_path: Path) -> None:
    """The tree follows the name after one empty line, not two."""
    path = tmp_path / "bare.yaml"
    states = "{a: {emits: x.y.a.v1, next: [{to: b, delay: {fixed: 1}}]}, b: {emits: x.y.b.v1, outcome: completed}}"
    events = "events: {x.y.a.v1: {}, x.y.b.v1: {}}"
    path.write_text(f"source: x\n{events}\nchains: {{bare: {{weight: 1, start: a, states: {states}}}}}\n")
    assert run("show", "bare", "--catalog", path).output.startswith("bare  weight 1\n\na  x.y.a.v1\n")
    assert run("show", "x.y.a.v1", "--catalog", path).output.startswith("x.y.a.v1\nsource x, ")


def test_lint_of_good_files(mine: Path) -> None:
    """Exit code 0, and what was checked."""
    assert run("lint").output == "no mistakes in 10 chains and 32 event types\n"
    assert run("lint", "--alone", mine).output == "no mistakes in 1 chain and 2 event types\n"
    assert json.loads(run("lint", "--json", mine).output) == {"mistakes": []}


def test_lint_of_a_bad_file(mine: Path) -> None:
    """Exit code 1, and every mistake as `file:line: where: problem`."""
    mine.write_text(MINE.replace("fixed: 20", "fixed: -20").replace("weight: 5", "weight: -5"))
    result = run("lint", mine)
    assert result.exit_code == 1
    assert result.output.splitlines() == [
        "the catalog has 2 mistakes:",
        f"{mine}:7: chains.door.weight: expected a weight of 0 or more, got -5",
        f"{mine}:10: chains.door.states.opened.next[0].delay: expected a delay of 0 ms or more, got -20",
    ]
    listed = json.loads(run("lint", "--json", mine).output)["mistakes"]
    assert [mistake["line"] for mistake in listed] == [7, 10]


def test_lint_alone_needs_a_path() -> None:
    """Nothing alone is nothing: wrong usage."""
    assert run("lint", "--alone").exit_code == 2


def test_export_of_both_formats(tmp_path: Path) -> None:
    """JSON to stdout or a file, YAML by the file's name."""
    assert json.loads(run("export").output)["asyncapi"] == "3.1.0"
    assert json.loads(run("export", "--format", "jsonschema").output)["$schema"].endswith("2020-12/schema")
    written = tmp_path / "asyncapi.yaml"
    assert run("export", "--out", written).exit_code == 0
    assert yaml.safe_load(written.read_text()) == json.loads(run("export").output)
    assert "&id" not in written.read_text()


def test_export_by_topics_and_server() -> None:
    """The topic strategy and the broker's address can be chosen."""
    document = json.loads(run("export", "--topics", "single", "--server", "kafka:9093").output)
    assert list(document["channels"]) == ["omninode.events"]
    assert document["servers"]["kafka"]["host"] == "kafka:9093"


def test_the_program_itself(mine: Path) -> None:
    """Through `python -m eventbus`: a bad catalog is wrong usage for all commands but lint, told without a stack."""
    mine.write_text(MINE.replace("mine.door.closed.v1, outcome", "mine.door.shut.v1, outcome"))
    command = [sys.executable, "-m", "eventbus", "catalog", "list", "--catalog", str(mine)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert f"{mine}:11: chains.door.states.closed.emits: unknown event type 'mine.door.shut.v1'" in done.stderr
    assert "Traceback" not in done.stderr
