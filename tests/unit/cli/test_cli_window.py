"""`eventbus generate --workers`, `--from`, `--until` and `--index`, and `eventbus explain`, as a user runs them."""

from __future__ import annotations

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


def run(*arguments: str) -> Result:
    return CliRunner().invoke(cli, arguments)


def events(*arguments: str) -> list[Event]:
    result = run("generate", *arguments)
    assert result.exit_code == 0, result.output
    return [Event.from_bytes(line) for line in result.stdout_bytes.splitlines()]


def at(second: int) -> datetime:
    return datetime(2026, 1, 1, 0, 0, second, tzinfo=UTC)


def test_workers_change_no_byte() -> None:
    """stdout and the digest are the same with two processes."""
    one, two = (run("generate", "--chains", "5000", "--workers", number) for number in "12")
    assert two.stdout_bytes == one.stdout_bytes
    assert two.stderr.split("sha256")[1] == one.stderr.split("sha256")[1]


def test_a_window_of_an_endless_run() -> None:
    """With `--until` no other bound is needed."""
    window = events("--from", "2026-01-01T00:00:10Z", "--until", "2026-01-01T00:00:12Z", "--seed", "7")
    whole = [event for event in ChainGenerator(seed=7).events(duration=12) if at(10) <= event.timestamp < at(12)]
    assert window == whole != []


def test_a_window_of_a_run_that_ends() -> None:
    """The bounds of the run hold in the window."""
    window = events("--chains", "100", "--from", "2026-01-01T00:00:05")
    assert window == [event for event in ChainGenerator().events(chains=100) if event.timestamp >= at(5)] != []


def test_one_chain_of_a_run() -> None:
    """`--index` gives the events that the run has of this chain, and no others."""
    window = events("--index", "77", "--seed", "7", "--rate", "100")
    whole = list(ChainGenerator(seed=7, rate=100).events(chains=100))
    root = [event for event in whole if event.causation_id is None][77]
    assert window == [event for event in whole if event.correlation_id == root.event_id]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--workers", "0"], "expected 1 to 64 workers, got 0"),
        (["--from", "2026-01-02"], "--from alone would never end"),
        (["--from", "2026-01-02", "--until", "2026-01-01"], "expected --from before --until"),
        (["--index", "3", "--chains", "10"], "--index names a chain"),
        (["--index", "3", "--from", "2026-01-01"], "--index names a chain"),
        (["--index", "-1"], "-1"),
        (["--until", "2026-01-02", "--fault", "drop=0.1"], "need the whole run"),
    ],
)
def test_wrong_usage(arguments: list[str], message: str) -> None:
    """Exit code 2, and what was expected; nothing is written."""
    result = run("generate", *arguments)
    assert result.exit_code == 2
    assert message in result.stderr
    assert result.stdout == ""


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("workers", ["1", "2"])
def test_an_interrupted_run_leaves_nothing(tmp_path: Path, how: signal.Signals, workers: str) -> None:
    """Ctrl-C and SIGTERM: exit code 130 within 3 seconds, no file and no complaint of a worker."""
    command = [*PROGRAM, "--duration", "9999d", "--workers", workers, "--out", str(tmp_path / "events.jsonl")]
    with subprocess.Popen(command, stderr=subprocess.PIPE) as process:
        while not any(path.stat().st_size for path in tmp_path.iterdir()):
            assert process.poll() is None
            time.sleep(0.01)
        process.send_signal(how)
        assert process.wait(3) == 130
        assert process.stderr is not None
        message = process.stderr.read().decode()
    assert message.startswith("interrupted after ")
    assert message.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="finds children in /proc")
def test_a_dead_worker_leaves_no_short_file(tmp_path: Path) -> None:
    """When a worker is killed, the command fails with a sentence, and there is no file."""
    command = [*PROGRAM, "--duration", "9999d", "--workers", "2", "--out", str(tmp_path / "events.jsonl")]
    with subprocess.Popen(command, stderr=subprocess.PIPE) as process:
        while not any(path.stat().st_size for path in tmp_path.iterdir()):
            assert process.poll() is None
            time.sleep(0.01)
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        os.kill(int(children[0]), signal.SIGKILL)
        assert process.wait(10) == 1
        assert process.stderr is not None
        assert "worker 1 of 2 ended with -9 before its work did" in process.stderr.read().decode()
    assert list(tmp_path.iterdir()) == []


def test_a_reader_that_has_seen_enough() -> None:
    """`| head -1` with workers: exit code 0 and not a word."""
    command = [*PROGRAM, "--chains", "1000000", "--workers", "2"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        Event.from_bytes(process.stdout.readline())
        process.stdout.close()
        assert process.wait(10) == 0
        assert process.stderr.read() == b""


class TestExplain:
    """`eventbus explain`."""

    def test_every_event_of_a_run_is_found(self) -> None:
        """From its id alone: the chain's index, the step, and the whole chain with its delays."""
        generator = ChainGenerator(seed=7, rate=1000)
        whole = list(generator.events(chains=60))
        roots = [event.event_id for event in whole if event.causation_id is None]
        for event in whole:
            explanation = generator.explain(event.event_id)
            path = [step.event for step in explanation.path]
            assert roots[explanation.index] == event.correlation_id
            assert path == [other for other in whole if other.correlation_id == event.correlation_id]
            assert path[explanation.step] == event
            chain = generator.catalog.chains[explanation.chain]
            assert [chain.states[step.state].emits for step in explanation.path] == [event.event_type for event in path]
            times = {one.event_id: one.timestamp for one in path}
            assert all(
                step.delay == step.event.timestamp - times[step.event.causation_id or step.event.event_id]
                for step in explanation.path
            )

    def test_it_is_shown(self) -> None:
        """A headline, a line for each event with its delay, and an arrow at the one asked for."""
        event = ChainGenerator(seed=7).chain(index=12)[-1]
        result = run("explain", event.event_id, "--seed", "7")
        assert result.exit_code == 0
        headline, *steps = result.stdout.splitlines()
        assert " in chain 12, " in headline
        assert [line.startswith("→") for line in steps] == [False] * (len(steps) - 1) + [True]
        assert event.event_type in steps[-1]
        assert " ms " in steps[-1]

    def test_json(self) -> None:
        """The same for a machine."""
        event = ChainGenerator().chain(index=3)[0]
        document = json.loads(run("explain", event.event_id.upper(), "--json").stdout)
        assert (document["index"], document["step"]) == (3, 0)
        assert document["path"][0]["event"] == event.to_dict()

    @pytest.mark.parametrize(
        ("event_id", "code", "message"),
        [
            ("nonsense", 2, "expected an event id (a UUID), got 'nonsense'"),
            ("2f9f7a2e-3b1c-4c57-9a3c-2f9f7a2e3b1c", 2, "a UUID of version 7"),
            ("019b7700-0a7a-7e56-8a4c-3a8f6c1b2d3e", 1, "the run has no event 019b7700"),
            ("00000000-0000-7000-8000-000000000000", 1, "the run has no event"),
            ("ffffffff-ffff-7fff-bfff-ffffffffffff", 1, "the run has no event"),
        ],
    )
    def test_what_is_not_found(self, event_id: str, code: int, message: str) -> None:
        """What is no id is wrong usage; an id of another run is said to be none of this one."""
        result = run("explain", event_id)
        assert result.exit_code == code
        assert message in result.stderr
