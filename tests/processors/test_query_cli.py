"""The commands `eventbus events`, `chain` and `stats`."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path

import orjson
import pytest
from click.testing import CliRunner, Result

from eventbus.cli import cli
from eventbus.event import uuid7
from eventbus.processors.postgres import EmbeddedServer
from tests.processors.feeding import (
    EXECUTION_COMPLETED,
    EXECUTION_FAILED,
    ROUTING_REQUESTED,
    agent_execution,
    chain_of,
    store_all,
)


def run(*arguments: str, **environment: str) -> Result:
    return CliRunner().invoke(cli, arguments, env=environment)


def test_events_as_json_are_the_events(postgres_dsn: str) -> None:
    """One event per line, the newest last, in the bytes of `Event.to_bytes`."""
    events = agent_execution()
    asyncio.run(store_all(postgres_dsn, *events))
    result = run("events", "--json", "--limit", "3", "--database-url", postgres_dsn)
    assert result.exit_code == 0
    assert result.stdout_bytes.splitlines() == [event.to_bytes() for event in events[1:]]


def test_events_are_lines_with_what_a_next_command_needs(postgres_dsn: str) -> None:
    """Each line has the time, the type and the whole correlation id."""
    events = agent_execution()
    asyncio.run(store_all(postgres_dsn, *events))
    result = run("events", "--type", EXECUTION_COMPLETED, DATABASE_URL=postgres_dsn)
    (line,) = result.stdout.splitlines()
    assert line.startswith("2026-01-01 00:00:00.300")
    assert EXECUTION_COMPLETED in line
    assert events[0].event_id in line
    assert '{"n":3}' in line


def test_events_since(postgres_dsn: str) -> None:
    """`--since` takes a duration or a time; without matches, a message says so, with exit code 0."""
    asyncio.run(store_all(postgres_dsn, *agent_execution()))
    since = ("events", "--json", "--database-url", postgres_dsn, "--since")
    assert len(run(*since, "2026-01-01T00:00:00.200Z").stdout.splitlines()) == 2
    nothing = run("events", "--since", "1ms", "--tenant", "nobody", "--database-url", postgres_dsn)
    assert (nothing.exit_code, nothing.stdout, nothing.stderr) == (0, "", "no event matches\n")


def test_chain_is_a_tree_with_a_verdict(postgres_dsn: str) -> None:
    """The tree shows times since the first event and gaps, followed by the verdict and the missing types."""
    events = chain_of(ROUTING_REQUESTED, EXECUTION_COMPLETED, gap_ms=250)
    asyncio.run(store_all(postgres_dsn, *events))
    result = run("chain", events[0].event_id, "--database-url", postgres_dsn)
    assert result.exit_code == 0
    assert re.search(r"agent-execution  completed after 250 ms", result.stdout)
    assert re.search(rf"0 ms  {ROUTING_REQUESTED}", result.stdout)
    assert re.search(rf"── *250 ms  {EXECUTION_COMPLETED}  \+250 ms", result.stdout)
    assert "incomplete: ended, but events are missing" in result.stdout
    assert "omninode.agent.routing.completed.v1 is missing" in result.stdout


def test_chain_as_json(postgres_dsn: str) -> None:
    """The JSON object of the HTTP API: effects nested in their causes."""
    events = agent_execution()
    asyncio.run(store_all(postgres_dsn, *events))
    result = run("chain", events[0].event_id, "--json", "--database-url", postgres_dsn)
    document = json.loads(result.stdout)
    assert (document["verdict"], document["duration_ms"]) == ("conforms", 300.0)
    nodes, found = document["tree"], []
    while nodes:
        [node] = nodes
        found.append(node["event"])
        nodes = node["effects"]
    assert found == [orjson.loads(event.to_bytes()) for event in events]


def test_terminal_codes_in_an_event_are_not_obeyed(postgres_dsn: str) -> None:
    """Control characters in events are not written to the terminal."""
    payload = {"error_message": "\x1b[2J\x9b2J"}
    events = chain_of(ROUTING_REQUESTED, EXECUTION_FAILED, source="\x1b[2J", tenant_id="\x1b]0;x\x07", payload=payload)
    asyncio.run(store_all(postgres_dsn, *events))
    for command in (("events",), ("chain", events[0].event_id)):
        result = run(*command, "--database-url", postgres_dsn)
        assert result.exit_code == 0
        assert not {"\x1b", "\x9b"} & set(result.stdout)


def test_brackets_in_an_event_are_brackets(postgres_dsn: str) -> None:
    """Texts of events are not interpreted as markup, valid or not."""
    events = chain_of(ROUTING_REQUESTED, EXECUTION_FAILED, payload={"error_message": "expected [red], got [/x] :boom:"})
    asyncio.run(store_all(postgres_dsn, *events))
    result = run("chain", events[0].event_id, "--database-url", postgres_dsn)
    assert result.exit_code == 0
    assert "expected [red], got [/x] :boom:" in result.stdout


def test_stats(postgres_dsn: str) -> None:
    """Totals, counts by type, and percentiles by chain; with --json the statistics of the store."""
    events = agent_execution() + chain_of(ROUTING_REQUESTED, EXECUTION_FAILED)
    asyncio.run(store_all(postgres_dsn, *events))
    text = run("stats", "--database-url", postgres_dsn).stdout
    assert "6 events" in text
    assert "2 chains: 1 completed, 1 failed, 0 in flight" in text
    assert re.search(rf"{ROUTING_REQUESTED} +2", text)
    document = json.loads(run("stats", "--json", "--database-url", postgres_dsn).stdout)
    assert document["chains"]["by_chain"]["agent-execution"]["failed"] == 1


@pytest.mark.parametrize("command", [["chain", "0199"], ["events", "--correlation-id", "0199"]])
def test_malformed_id_is_wrong_usage(command: list[str]) -> None:
    """An invalid id exits with 2, before a database is looked for."""
    result = run(*command)
    assert result.exit_code == 2
    assert "expected a UUID" in result.stderr
    assert "'0199'" in result.stderr


@pytest.mark.parametrize("command", [["chain"], ["events", "--correlation-id"]])
def test_unknown_id_is_a_failure(postgres_dsn: str, command: list[str]) -> None:
    """An unknown chain exits with 1 and a message."""
    wanted = uuid7(0, 1)
    result = run(*command, wanted, "--database-url", postgres_dsn)
    assert result.exit_code == 1
    assert "is stored" in result.stderr
    assert wanted in result.stderr


@pytest.mark.parametrize("command", [["events"], ["stats"], ["chain", uuid7(0, 1)]])
def test_nothing_ever_ran(tmp_path: Path, command: list[str]) -> None:
    """Without a database the commands exit with a message, and set up none."""
    result = run(*command, "--data-dir", str(tmp_path / "data"))
    assert result.exit_code == 1
    assert "nothing has been stored yet" in result.stderr
    assert not (tmp_path / "data").exists()


def test_bad_since_says_what_is_expected() -> None:
    """A value that is neither a duration nor a time is a usage error."""
    result = run("events", "--since", "yesterday")
    assert result.exit_code == 2
    assert "expected how long ago" in result.stderr


def test_commands_share_the_server_of_a_running_program_and_start_it_afterwards(
    postgres_server: EmbeddedServer,
) -> None:
    """With --data-dir the commands use the server of another process, and do not stop it."""
    events = agent_execution()
    asyncio.run(store_all(postgres_server.dsn, *events))
    result = run("chain", events[0].event_id, "--data-dir", str(postgres_server.data_dir))
    assert result.exit_code == 0
    assert postgres_server.is_running()
