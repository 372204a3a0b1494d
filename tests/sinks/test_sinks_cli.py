"""`eventbus stream --to …` as a user runs it."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time
from asyncio.subprocess import PIPE, Process
from pathlib import Path
from typing import Any

import cramjam
import pytest

from eventbus import KafkaBus
from tests.kafka.server import KafkaServer
from tests.kafka.test_kafka_stream import size
from tests.sinks.conftest import Reply, Server, says, until

STREAM = ("-m", "eventbus", "stream", "--seed", "3")
SHORT = ("--rate", "500", "--speed", "10", "--duration", "10s")


async def start(folder: Path, *arguments: str) -> Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, *STREAM, *arguments, stdout=PIPE, stderr=PIPE, cwd=folder
    )


async def outcome(process: Process) -> tuple[int | None, str, str]:
    """Exit code, stdout, stderr."""
    async with asyncio.timeout(60):
        out, err = await process.communicate()
    return process.returncode, out.decode(), err.decode()


async def stream(folder: Path, *arguments: str) -> tuple[int | None, str, str]:
    return await outcome(await start(folder, *arguments))


async def account(folder: Path, *arguments: str) -> tuple[int | None, dict[str, Any]]:
    code, out, err = await stream(folder, *arguments, "--json")
    assert out, err
    found: dict[str, Any] = json.loads(out)
    return code, found


def ids(text: str) -> list[str]:
    return sorted(json.loads(line)["event_id"] for line in text.splitlines())


async def test_several_sinks_have_the_same_events(tmp_path: Path, server: Server) -> None:
    """One stream into files, a bus and a server: each has every event, and the account says so."""
    code, figures = await account(
        tmp_path, *SHORT, "--to", "jsonl:a.jsonl", "--to", "jsonl:b.jsonl.zst", "--to", "bus", "--to", server.url,
        "--http-batch", "50", "--http-header", "x-api-key: k",
    )  # fmt: skip
    assert code == 0
    plain = (tmp_path / "a.jsonl").read_text()
    assert bytes(cramjam.zstd.decompress((tmp_path / "b.jsonl.zst").read_bytes())).decode() == plain
    assert ids(plain) == sorted(item["event_id"] for item in server.items)  # type: ignore[index]
    assert {headers["x-api-key"] for headers in server.headers} == {"k"}
    for sink in figures["sinks"].values():
        assert sink["accepted"] == sink["written"] == figures["scheduled"] == len(plain.splitlines()) > 100
    assert set(figures["sinks"]) == {"jsonl:a.jsonl", "jsonl:b.jsonl.zst", "bus", f"http:{server.url}"}


async def test_events_on_stdout_leave_the_account_to_stderr(tmp_path: Path) -> None:
    """stdout is lines of JSON and nothing else."""
    code, out, err = await stream(tmp_path, *SHORT, "--to", "stdout")
    assert code == 0
    assert f"stdout: {len(ids(out)):,} events = {len(ids(out)):,} written\n" in err


async def test_a_dead_sink_costs_the_others_nothing(tmp_path: Path, server: Server) -> None:
    """What a server refuses lies in the dead-letter file; the file beside it is complete; the exit code is 1."""
    refusal = says(400, "never")
    server.replies = [refusal] * 100_000
    code, figures = await account(
        tmp_path, *SHORT, "--to", "jsonl:a.jsonl", "--to", f"http:{server.url}", "--dead-letters", "dead.jsonl",
        "--http-batch", "100",
    )  # fmt: skip
    assert code == 1
    lines = (tmp_path / "a.jsonl").read_text()
    dead = [json.loads(line) for line in (tmp_path / "dead.jsonl").read_text().splitlines()]
    assert sorted(letter["event"]["event_id"] for letter in dead) == ids(lines)
    sink = figures["sinks"][f"http:{server.url}"]
    assert (sink["dead"], sink["written"], sink["pending"]) == (figures["scheduled"], 0, 0)
    assert sink["last_error"] == "400 never (attempt 1)"


async def test_cloudevents_to_a_server_and_a_file(tmp_path: Path, server: Server) -> None:
    """Both have CloudEvents in their JSON form; the server is told so by the content type."""
    code, figures = await account(
        tmp_path, *SHORT, "--format", "cloudevents", "--to", "jsonl:a.jsonl", "--to", server.url, "--http-batch", "50"
    )
    assert code == 0
    clouds = [json.loads(line) for line in (tmp_path / "a.jsonl").read_text().splitlines()]
    assert len(clouds) == figures["scheduled"]
    assert {cloud["specversion"] for cloud in clouds} == {"1.0"}
    assert {cloud["id"] for cloud in clouds} == {item["id"] for item in server.items}  # type: ignore[index]
    assert {headers["content-type"] for headers in server.headers} == {"application/cloudevents-batch+json"}


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM])
async def test_ctrl_c_accounts_for_what_a_silent_server_holds(
    tmp_path: Path, server: Server, ending: signal.Signals
) -> None:
    """Interrupted while a server is silent, the program ends in time, and every event is written or a dead letter."""
    asked, never = asyncio.Event(), asyncio.Event()

    async def silent(request: object) -> Any:
        asked.set()
        await never.wait()

    replies: list[Reply] = [silent]
    server.replies = replies * 1000
    process = await start(tmp_path, "--rate", "200", "--to", f"http:{server.url}", "--json")
    async with asyncio.timeout(30):
        await asked.wait()
    process.send_signal(ending)
    begin = time.monotonic()
    code, out, _ = await outcome(process)
    assert time.monotonic() - begin < 3 + 2  # promised within 3 s; 2 s for a loaded machine
    never.set()
    [sink] = json.loads(out)["sinks"].values()
    assert code == 1
    assert sink["accepted"] == sink["dead"] > 0
    assert len((tmp_path / "dead-letters.jsonl").read_text().splitlines()) == sink["dead"]


async def test_ctrl_c_ends_the_wait_for_the_reader_of_a_pipe(tmp_path: Path) -> None:
    """A named pipe that nobody reads holds up the beginning of a stream, but not its end."""
    os.mkfifo(tmp_path / "pipe")
    process = await start(tmp_path, "--to", "jsonl:first.jsonl", "--to", "jsonl:pipe")
    await until((tmp_path / "first.jsonl").exists)
    process.send_signal(signal.SIGINT)
    code, out, _ = await outcome(process)
    assert (code, out) == (130, "")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--to", "jsonl"), "expected jsonl:PATH, got 'jsonl'"),
        (("--to", "kafka:x"), "expected just kafka, got 'kafka:x'"),
        (("--to", "pigeon"), "expected one of kafka, bus, stdout, jsonl:PATH, http:URL, openpanel:URL"),
        (("--to", "http:ftp://host"), "expected an address that begins with http:// or https://"),
        (("--to", "jsonl:no/such/folder"), "jsonl:no/such/folder: No such file or directory"),
        (("--to", "bus", "--to", "bus"), "expected each sink once"),
        (("--to", "bus", "--rotate", "much"), "expected a size such as"),
        (("--to", "bus", "--http-header", "x"), "expected 'name: value', got 'x'"),
        (("--to", "stdout", "--format", "cloudevents-binary"), "needs record headers: kafka or bus, not stdout"),
        (("--to", "http://host", "--http-body", "analytics", "--format", "cloudevents"), "not both"),
        (("--to", "http://host", "--dead-letters", "no/such/file"), "--dead-letters: expected a file in a folder"),
        (("--to", "openpanel:http://host"), "expected OpenPanel's client id"),
    ],
)
async def test_wrong_sinks_exit_with_2(tmp_path: Path, arguments: tuple[str, ...], said: str) -> None:
    """What cannot work is refused before anything is streamed."""
    code, out, err = await stream(tmp_path, *arguments)
    assert (code, out) == (2, "")
    assert said in err


@pytest.mark.kafka
async def test_kafka_beside_a_file(tmp_path: Path, kafka_server: KafkaServer) -> None:
    """Kafka as one sink of several has as many new records as the file has lines."""
    before = await size(kafka_server.bootstrap)
    code, figures = await account(
        tmp_path, *SHORT, "--to", "kafka", "--to", "jsonl:a.jsonl", "--topics", "single",
        "--bootstrap-servers", kafka_server.bootstrap,
    )  # fmt: skip
    assert code == 0
    lines = len((tmp_path / "a.jsonl").read_text().splitlines())
    assert figures["sinks"]["kafka"]["written"] == lines > 100
    assert await size(kafka_server.bootstrap) - before == lines


@pytest.mark.kafka
@pytest.mark.parametrize("to", [(), ("--to", "kafka")])
async def test_cloudevents_in_kafka(tmp_path: Path, kafka_server: KafkaServer, to: tuple[str, ...]) -> None:
    """In binary mode a real broker has the attributes as headers and the payload as value."""
    async with KafkaBus(kafka_server.bootstrap) as bus:
        await size(kafka_server.bootstrap)
        async with bus.subscribe("omninode.events", auto_offset_reset="latest") as news:
            reading = asyncio.ensure_future(anext(news))
            code, figures = await account(
                tmp_path, *SHORT, *to, "--format", "cloudevents-binary", "--topics", "single",
                "--bootstrap-servers", kafka_server.bootstrap,
            )  # fmt: skip
            async with asyncio.timeout(30):
                record = await reading
    assert (code, figures["dropped"]) == (0, 0)
    headers = dict(record.headers)
    assert headers["ce_specversion"] == b"1.0"
    assert headers["ce_correlationid"] == record.key
    assert "event_id" not in json.loads(record.value or b"")
