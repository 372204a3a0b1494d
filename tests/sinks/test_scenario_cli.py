"""`eventbus stream --scenario …` as a user of an older simulator runs it, with the file that they have."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.sinks.conftest import Server, says
from tests.sinks.test_sinks_cli import account, stream
from tests.unit.catalog.test_catalog_scenario import OLD

FAST = ("--speed", "200", "--set", "simulation.duration_seconds=90")


def written(folder: Path, server: Server) -> str:
    """The file, whose address is the server's."""
    path = folder / "old.yaml"
    path.write_text(OLD.replace("http://localhost:8000/api/event", server.url))
    return str(path)


async def test_a_file_written_for_another_simulator_runs_as_it_is(tmp_path: Path, server: Server) -> None:
    """`--to http` finds the address in it, sends what its API expects, and keeps the file that it asks for."""
    code, figures = await account(tmp_path, "--scenario", written(tmp_path, server), "--to", "http", *FAST)
    assert code == 0
    items: list[Any] = server.items
    assert len(items) == figures["scheduled"] > 100
    fields = {"site_id", "event_type", "path", "user_id", "timestamp", "session_id", "properties"}
    assert {frozenset(item) for item in items} == {frozenset(fields)}
    assert {item["event_type"] for item in items} == {
        *("session_created", "session_ended", "page_visited", "page_closed", "button_clicked", "link_clicked")
    }
    kept = (tmp_path / "events.json").read_text().splitlines()
    assert len(kept) == len(items)


async def test_options_win_over_the_file(tmp_path: Path, server: Server) -> None:
    """Another body, another address, another seed."""
    options = ("--set", "advanced.save_to_file=false", "--http-body", "json", "--to", server.url)
    code, figures = await account(tmp_path, "--scenario", "incident", "--duration", "1s", "--speed", "10", *options)
    assert code == 0
    assert figures["seed"] == 3
    assert set(figures["sinks"]) == {f"http:{server.url}"}
    assert all("correlation_id" in item for item in server.items)  # type: ignore[operator]


async def test_where_nobody_waits_the_stream_waits_for_its_sinks(tmp_path: Path, server: Server) -> None:
    """Without human delays it is as fast as its slowest sink; with them, a full queue loses what comes."""
    file = written(tmp_path, server)
    for human, when_full in (("false", "wait"), ("true", "drop")):
        chosen = ("--set", f"advanced.human_like_delays={human}", "--set", "simulation.num_users=2")
        brief = ("--speed", "100", "--duration", "1s")
        code, figures = await account(tmp_path, "--scenario", file, "--to", "http", *chosen, *brief)
        assert (code, figures["when_full"]) == (0, when_full)


async def test_retries_are_those_of_the_file(tmp_path: Path, server: Server) -> None:
    """One failure costs an event where none is tried again, and nothing where that is wanted."""
    file = written(tmp_path, server)
    server.replies = [says(500)]
    code, figures = await account(
        tmp_path, "--scenario", file, "--to", "http", *FAST, "--set", "advanced.retry_on_failure=false"
    )
    assert (code, figures["sinks"][f"http:{server.url}"]["dead"]) == (1, 1)
    server.replies = [says(500)]
    code, figures = await account(tmp_path, "--scenario", file, "--to", "http", *FAST)
    assert (code, figures["sinks"][f"http:{server.url}"]["dead"]) == (0, 0)


async def test_what_is_shown_is_what_the_file_wants(tmp_path: Path, server: Server) -> None:
    """A line for every event where it is verbose, and figures as often as it says."""
    chosen = ("--set", "advanced={verbose: true, stats_interval: 1}", "--speed", "10", "--to", server.url)
    _, _, err = await stream(tmp_path, "--scenario", "omninode", "--duration", "20s", *chosen)
    items: list[Any] = server.items
    assert len(items) > 100
    assert all(item["correlation_id"][:18] in err for item in items)
    assert len(err.splitlines()) > len(items)


async def test_an_address_is_needed(tmp_path: Path) -> None:
    """Without one in the scenario, `--to http` is wrong usage."""
    code, _, err = await stream(tmp_path, "--scenario", "incident", "--to", "http")
    assert code == 2
    assert "expected http:URL, or a scenario with simulation.api_url" in err


async def test_mistakes_end_it_before_anything_is_sent(tmp_path: Path, server: Server) -> None:
    """All of them are shown, and the exit code is that of wrong usage."""
    file = tmp_path / "wrong.yaml"
    file.write_text("simulation: {num_users: none at all}\nadvanced:\n  verbos: true\n")
    code, out, err = await stream(tmp_path, "--scenario", str(file), "--to", server.url, "--set", "seed=x")
    assert (code, out) == (2, "")
    assert f"{file}:1: simulation.num_users: expected a whole number" in err
    assert f"{file}:3: advanced.verbos: unknown field 'verbos' (did you mean 'verbose'?)" in err
    assert "--set seed=x: seed: expected a whole number" in err
    assert not server.bodies
