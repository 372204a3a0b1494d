"""`eventbus mock` and `eventbus serve` as their users meet them: processes, sockets, signals."""

from __future__ import annotations

import json
import os
import signal
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from eventbus.catalog import Scenario
from eventbus.chains import ChainGenerator
from tests.acceptance.running import Running, data_dir, eventbus


@pytest.fixture(scope="module")
def data() -> Iterator[Path]:
    """One data directory for the module: setting one up takes a second."""
    with data_dir() as folder:
        yield folder


def get(url: str) -> Any:
    with urllib.request.urlopen(url, timeout=5) as answer:
        return json.load(answer)


def until(condition: Callable[[], Any], timeout: float = 30) -> Any:
    """What the condition gives, once it gives something; another process has no clock to advance."""
    deadline = time.monotonic() + timeout
    while not (found := condition()):
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.05)
    return found


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


def test_the_mock_stores_complete_chains_that_every_door_shows(data: Path) -> None:
    """What the generator emits is stored, and the same over HTTP and from the terminal; Ctrl-C ends all of it."""
    with Running("mock", "--port", "0", "--data-dir", str(data), "--seed", "7") as mock:
        url = mock.url()

        def completed() -> Any:
            chains = get(f"{url}/api/event-bus/statistics")["chains"]
            return chains["completed"] + chains["failed"] >= before + 20

        before = get(f"{url}/api/event-bus/statistics")["chains"]["completed"]
        until(completed)

        listed = eventbus("events", "--limit", "5", "--json", "--data-dir", str(data))
        events = [json.loads(line) for line in listed.stdout.splitlines()]
        assert len(events) == 5

        correlation_id = events[0]["correlation_id"]
        found = get(f"{url}/api/event-bus/events?correlation_id={correlation_id}")["events"]
        assert events[0] in found

        drawn = eventbus("chain", correlation_id, "--data-dir", str(data))
        assert "conforms" in drawn.stdout, drawn
        assert get(f"{url}/api/event-bus/chains/{correlation_id}")["verdict"] == "conforms"

        assert mock.stop(signal.SIGINT) == 0, mock.output
        port = int(url.rpartition(":")[2])
        assert is_free(port)

    published, stored = mock.wait_for(r"^(\d+) events of .*; (\d+) stored, 0 duplicates, 0 dead letters").groups()
    assert published == stored


def test_what_was_stored_survives_a_restart(data: Path) -> None:
    """A second run on the same data directory adds to the first; SIGTERM and a hangup end it like Ctrl-C."""
    stored = 0
    for seed, ending in (("1", signal.SIGTERM), ("2", signal.SIGHUP)):
        with Running("mock", "--port", "0", "--data-dir", str(data), "--seed", seed) as mock:
            statistics = f"{mock.url()}/api/event-bus/statistics"
            wanted = stored + 20
            until(lambda: get(statistics)["chains"]["total"] >= wanted)  # noqa: B023  # within the same turn
            stored = get(statistics)["chains"]["total"]
            assert mock.stop(ending) == 0, mock.output
        assert not list(data.rglob("postmaster.pid")), "PostgreSQL was left behind"


def test_the_mock_follows_a_scenario_and_stays_when_that_is_over() -> None:
    """What comes to be stored are the scenario's chains; the application is there after its last one."""
    stage = "arrivals={stages: [{rate: 50, duration: 1s}]}"
    chosen = ("--scenario", "omninode", "--set", stage, "--set", "chains={vault-read: 1}", "--set", "seed=7")
    with data_dir() as folder, Running("mock", "--port", "0", "--data-dir", str(folder), *chosen) as mock:
        statistics = f"{mock.url()}/api/event-bus/statistics"
        begun = ChainGenerator.from_scenario("omninode", seed=7, arrivals=Scenario.load("omninode", [stage]).arrivals)
        expected = sum(block.chains for block in begun.blocks())
        until(lambda: get(statistics)["chains"]["completed"] == expected)
        assert set(get(statistics)["chains"]["by_chain"]) == {"vault-read"}
        assert mock.stop(signal.SIGINT) == 0, mock.output


def test_events_can_be_injected_where_the_generator_is_off(data: Path) -> None:
    """With ENABLE_MOCK_EVENTS=false nothing is emitted, and what a user posts is stored."""
    with Running("mock", "--port", "0", "--data-dir", str(data), ENABLE_MOCK_EVENTS="false") as mock:
        url = mock.url()
        body = {"event_type": "omninode.custom.thing.happened.v1", "payload": {"n": 1}, "tenant_id": "injected"}
        request = urllib.request.Request(
            f"{url}/api/event-bus/events", json.dumps(body).encode(), {"content-type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=5) as answer:
            assert answer.status == 202
        [event] = until(lambda: get(f"{url}/api/event-bus/events?tenant_id=injected")["events"])
        assert event["payload"] == {"n": 1}
        assert mock.stop() == 0
    assert "0 events of 0 chains published" in mock.output


def test_a_database_that_dies_comes_back_and_nothing_is_lost(data: Path) -> None:
    """The embedded PostgreSQL, killed with kill -9, is started again, and what was published meanwhile is stored."""
    with Running("mock", "--port", "0", "--data-dir", str(data), "--rate", "20") as mock:
        mock.wait_for(r"\.v1 ")
        [folder] = data.glob("postgres-*")
        os.kill(int((folder / "postmaster.pid").read_text().split()[0]), signal.SIGKILL)
        stored = f"{mock.url()}/api/event-bus/statistics"
        until(lambda: answers(stored) and get(stored)["events"]["total"] > 100)
        until(lambda: get(f"{mock.url()}/health")["components"]["processor"]["lag"] < 20)
        assert mock.stop() == 0
    account = mock.wait_for(r"^([\d,]+) events of .*; ([\d,]+) stored, 0 duplicates, 0 dead letters")
    assert account[1] == account[2]


def answers(url: str) -> bool:
    try:
        get(url)
    except OSError:
        return False
    return True


def test_a_malformed_id_and_an_unknown_one_are_told_apart(data: Path) -> None:
    """Over HTTP 400 and 404, on the terminal exit codes 2 and 1, with a sentence each."""
    unknown = "0199a0b0-0000-7000-8000-00000000000a"
    with Running("mock", "--port", "0", "--data-dir", str(data), "--no-generate") as mock:
        for given, status in (("nonsense", 400), (unknown, 404)):
            with pytest.raises(urllib.error.HTTPError) as raised:
                get(f"{mock.url()}/api/event-bus/chains/{given}")
            assert raised.value.code == status
            assert json.load(raised.value)["error"]
            raised.value.close()
        for given, code in (("nonsense", 2), (unknown, 1)):
            result = eventbus("chain", given, "--data-dir", str(data))
            assert (result.returncode, given in result.stderr) == (code, True)
        assert mock.stop() == 0


def test_a_busy_port_is_said_with_the_option_that_changes_it(data: Path) -> None:
    """One line on stderr and exit code 1, before anything is started."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = eventbus("mock", "--port", str(port), "--data-dir", str(data))
    assert result.returncode == 1
    assert str(port) in result.stderr
    assert "--port" in result.stderr
    assert "Traceback" not in result.stderr


def test_serve_falls_back_to_the_mock_in_development_only(data: Path) -> None:
    """Without a reachable broker: the mock and a note in development, exit code 2 in production."""
    nowhere = {"KAFKA_BROKERS": "127.0.0.1:1", "EVENTBUS_PORT": "0", "EVENTBUS_DATA_DIR": str(data)}
    with Running("serve", **nowhere) as serve:
        serve.url()
        serve.wait_for("127.0.0.1:1.*running the mock instead")
        assert serve.stop() == 0
    with Running("serve", **nowhere, APP_ENV="production") as serve:
        assert serve.wait() == 2
        serve.wait_for("no Kafka broker answered at 127.0.0.1:1")
    assert eventbus("serve", APP_ENV="production").returncode == 2


def test_a_bad_catalog_is_refused_before_anything_starts(tmp_path: Path) -> None:
    """All mistakes with file and line, exit code 2."""
    bad = tmp_path / "bad.yaml"
    bad.write_text("domain: omninode.x\nchains:\n  broken:\n    weight: -1\n    start: nowhere\n    states: {}\n")
    result = eventbus("mock", "--port", "0", "--catalog", str(bad))
    assert result.returncode == 2
    assert f"{bad}:4" in result.stderr


def test_wrong_settings_are_wrong_usage() -> None:
    """A variable that does not parse is named, with what came."""
    result = eventbus("mock", EVENTBUS_PORT="many")
    assert result.returncode == 2
    assert "EVENTBUS_PORT: " in result.stderr
    assert "many" in result.stderr


def test_a_terminal_without_the_characters_gets_others() -> None:
    """What the encoding of the output does not have is replaced, and ends nothing."""
    result = eventbus("catalog", "show", "agent-execution", PYTHONIOENCODING="ascii")
    assert (result.returncode, "agent-execution" in result.stdout) == (0, True), result.stderr
