"""`--scenario` and `--set`, wherever they are options: they say what the command line does not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from eventbus.catalog import Scenario
from eventbus.chains import ChainGenerator
from eventbus.cli import cli

MINE = """\
seed: 5
simulation: {duration_seconds: 20}
arrivals: {rate: 3}
chains: {vault-read: 1}
faults: [{kind: drop, rate: 0.5}]
"""


def run(*arguments: str) -> Result:
    return CliRunner().invoke(cli, arguments)


@pytest.fixture
def mine(tmp_path: Path) -> str:
    path = tmp_path / "mine.yaml"
    path.write_text(MINE)
    return str(path)


def made(**settings: float) -> str:
    """The events of the file, without its fault."""
    extent = {name: settings.pop(name) for name in ("chains", "duration") if name in settings} or {"duration": 20}
    generator = ChainGenerator.from_scenario(mine_scenario(), **settings)
    return b"".join(bytes(block.buffer) for block in generator.blocks(**extent)).decode()  # type: ignore[arg-type]


def mine_scenario() -> Scenario:
    return Scenario.load("omninode", ["seed=5", "arrivals.rate=3", "chains={vault-read: 1}"])


def test_generate_does_what_the_scenario_says(mine: str) -> None:
    """Its seed, arrivals, chains, duration; and faults, of which about every second event is one."""
    clean = run("generate", "--scenario", mine, "--set", "faults=[]")
    assert clean.stdout == made()
    struck = run("generate", "--scenario", mine).stdout.splitlines()
    assert set(struck) < set(clean.stdout.splitlines())
    assert 0.3 < len(struck) / len(clean.stdout.splitlines()) < 0.7


@pytest.mark.parametrize(
    ("options", "settings"),
    [
        (["--seed", "6"], {"seed": 6}),
        (["--rate", "10"], {"rate": 10}),
        (["--duration", "5s"], {"duration": 5}),
        (["--chains", "7"], {"chains": 7}),
        (["--set", "seed=6"], {"seed": 6}),
        (["--set", "simulation.duration_seconds=5"], {"duration": 5}),
    ],
)
def test_options_win_over_the_scenario(mine: str, options: list[str], settings: dict[str, float]) -> None:
    """What is on the command line counts, the default of an option does not."""
    result = run("generate", "--scenario", mine, "--set", "faults=[]", *options)
    assert result.exit_code == 0, result.stderr
    assert result.stdout == made(**settings)


def test_chains_and_faults_on_the_command_line_take_the_place_of_the_scenarios(mine: str) -> None:
    """Another chain, and another fault at another rate."""
    result = run("generate", "--scenario", mine, "--chain", "database-query", "--fault", "drop=0")
    assert result.exit_code == 0, result.stderr
    kinds = {json.loads(line)["event_type"].split(".")[1] for line in result.stdout.splitlines()}
    assert kinds == {"database"}
    assert len(result.stdout.splitlines()) % 2 == 0


def test_a_window_lies_in_the_run_of_the_scenario(mine: str) -> None:
    """Which ends when the scenario does, whatever the window is."""
    window = ("--from", "2026-01-01T00:00:10", "--until", "2026-01-01T01:00")
    result = run("generate", "--scenario", mine, "--set", "faults=[]", *window)
    since = [line for line in made().splitlines() if json.loads(line)["timestamp"] >= "2026-01-01T00:00:10"]
    assert result.stdout.splitlines() == since


def test_verify_and_explain_know_the_scenario(mine: str, tmp_path: Path) -> None:
    """The same catalog and arrivals as those of the run."""
    events = tmp_path / "events.jsonl"
    clean = ("--scenario", mine, "--set", "faults=[]")
    run("generate", *clean, "--out", str(events))
    verified = run("verify", str(events), *clean)
    assert verified.exit_code == 0, verified.output
    last = json.loads(events.read_text().splitlines()[-1])["event_id"]
    explained = run("explain", last, *clean, "--seed", "5", "--json")
    assert json.loads(explained.output)["chain"] == "vault-read"
    assert run("explain", last, *clean).exit_code == 0


def test_a_catalog_on_top_gives_the_scenario_its_chains(tmp_path: Path) -> None:
    """A scenario may be about chains that only `--catalog` knows."""
    more = tmp_path / "more.yaml"
    more.write_text(
        "events:\n  omninode.mine.thing.happened.v1: {source: me}\n  omninode.mine.thing.ended.v1: {source: me}\n"
        "chains:\n  mine:\n    weight: 0\n    start: one\n"
        "    states:\n"
        "      one: {emits: omninode.mine.thing.happened.v1, next: [{to: two, delay: {fixed: 5}}]}\n"
        "      two: {emits: omninode.mine.thing.ended.v1, outcome: completed}\n"
    )
    scenario = tmp_path / "mine.yaml"
    scenario.write_text("chains: {mine: 1}\n")
    result = run("generate", "--scenario", str(scenario), "--catalog", str(more), "--chains", "4")
    assert len(result.stdout.splitlines()) == 8, result.stderr
    assert "unknown chain 'mine'" in run("generate", "--scenario", str(scenario)).stderr


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (("--scenario", "omnnode"), "did you mean 'omninode'?"),
        (("--set", "seed=3"), "--set changes a scenario: give --scenario as well"),
        (("--scenario", "omninode", "--set", "seed"), "expected PATH=VALUE"),
        (("--scenario", "omninode", "--set", "arrivals.rate=-3"), "--set arrivals.rate=-3: arrivals.rate: expected"),
    ],
)
def test_wrong_usage(arguments: tuple[str, ...], problem: str) -> None:
    """One clear sentence, and exit code 2."""
    result = run("generate", *arguments)
    assert result.exit_code == 2
    assert problem in result.stderr


def test_scenarios_are_listed_checked_and_shown(mine: str, tmp_path: Path) -> None:
    """All of them by name; one as its file; a wrong one with its mistakes."""
    listed = run("catalog", "scenarios")
    assert listed.exit_code == 0
    assert all(name in listed.output for name in Scenario.names())
    rows = json.loads(run("catalog", "scenarios", "--json").output)
    assert [row["name"] for row in rows] == Scenario.names()
    assert run("catalog", "scenarios", mine).output == MINE
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text("simulation:\n  num_usres: 3\n")
    assert f"{wrong}:2: simulation.num_usres" in run("catalog", "scenarios", str(wrong)).output


def test_what_a_scenario_says_without_effect_on_the_command_is_said_aloud(tmp_path: Path) -> None:
    """Settings of sinks mean nothing to a command that writes one file; nothing is ignored silently."""
    path = tmp_path / "old.yaml"
    path.write_text(
        "seed: 1\nnum_users: 2\nverbose: true\nmax_retries: 3\nsave_to_file: yes\napi_url: http://localhost/x\n"
    )
    result = run("generate", "--scenario", str(path), "--chains", "1")
    assert result.exit_code == 0, result.stderr
    assert (
        "note: simulation.api_url, advanced.save_to_file, advanced.verbose, advanced.max_retries have no effect on "
        "eventbus generate"
    ) in result.stderr
    quiet = run("generate", "--scenario", "normal", "--chains", "1")
    assert "no effect" not in quiet.stderr


def test_events_per_second_go_with_the_users_of_the_command_line(tmp_path: Path) -> None:
    """They are scaled to the rate of the file; where no users are left, a note says that the rate has no effect."""
    path = tmp_path / "fast.yaml"
    path.write_text("{num_users: 10, duration_seconds: 60, events_per_second: 20}")
    users = run("generate", "--scenario", str(path), "--users", "5", "--duration", "5m")
    assert "note:" not in users.stderr
    assert len(users.stdout.splitlines()) == pytest.approx(20 * 300, rel=0.2)
    rate = run("generate", "--scenario", str(path), "--rate", "1")
    assert "note: simulation.events_per_second has no effect without users" in rate.stderr


def test_a_single_chain_ends_as_in_the_run_of_the_scenario() -> None:
    """A session that the end of the run has ended is no longer than there; one that would begin later is none."""
    scenario = ("--scenario", "normal", "--set", "simulation.duration_seconds=20")
    sessions: dict[str, list[str]] = {}
    for line in run("generate", *scenario).stdout.splitlines():
        sessions.setdefault(json.loads(line)["correlation_id"], []).append(line)
    assert len(sessions) == 10
    for index, lines in enumerate(sessions.values()):
        assert run("generate", *scenario, "--index", str(index)).stdout.splitlines() == lines
    options = ("--at-end", "end", "--duration", "20s", "--index", "0")
    assert run("generate", "--scenario", "normal", *options).stdout.splitlines() == next(iter(sessions.values()))
    late = run("generate", *scenario, "--index", "10")
    assert late.exit_code == 2
    assert "the run ends before chain 10 begins" in late.stderr
