"""`eventbus stream` against a real broker: what it says it sent is what the broker has."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import socket
import sys
import time
from asyncio.subprocess import PIPE, Process

import pytest

from eventbus import Event, KafkaBus
from tests.kafka.server import KafkaServer
from tests.kafka.test_kafka_delivery import end_offsets

STREAM = ("-m", "eventbus", "stream", "--topics", "single")
TOPIC = "omninode.events"


async def start(*arguments: str) -> Process:
    return await asyncio.create_subprocess_exec(sys.executable, *STREAM, *arguments, stdout=PIPE, stderr=PIPE)


async def outcome(process: Process) -> tuple[int | None, str, str]:
    """Exit code, stdout, stderr."""
    async with asyncio.timeout(60):
        out, err = await process.communicate()
    return process.returncode, out.decode(), err.decode()


@pytest.mark.kafka
async def test_the_account_equals_the_log(kafka_server: KafkaServer) -> None:
    """At the end of a run, the broker has as many new records as were acknowledged, and nothing is missing."""
    before = await size(kafka_server.bootstrap)
    process = await start(
        "--bootstrap-servers", kafka_server.bootstrap, "--rate", "300", "--speed", "10", "--duration", "10s",
        "--seed", "7", "--json",
    )  # fmt: skip
    code, out, err = await outcome(process)
    assert (code, err) == (0, "")
    account = json.loads(out)
    assert account["sent"] == account["acknowledged"] == account["scheduled"] > 1000
    assert (account["failed"], account["dropped"], account["seed"]) == (0, 0, 7)
    assert account["chains"] == account["chains_finished"]
    assert await size(kafka_server.bootstrap) - before == account["acknowledged"]


@pytest.mark.kafka
@pytest.mark.parametrize("rate", ["500", "max"])
@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM])
async def test_ctrl_c_flushes_and_prints_the_account(
    kafka_server: KafkaServer, rate: str, ending: signal.Signals
) -> None:
    """However it is interrupted, the program ends in time with 0, and the log holds exactly what was acknowledged."""
    before = await size(kafka_server.bootstrap)
    process = await start("--bootstrap-servers", kafka_server.bootstrap, "--rate", rate, "--initial-chains", "50")
    await growth(kafka_server.bootstrap)
    process.send_signal(ending)
    begin = time.monotonic()
    code, out, err = await outcome(process)
    assert time.monotonic() - begin < 3 + 2  # promised within 3 s; 2 s for a loaded machine
    assert (code, err) == (0, "")
    match = re.search(r"([\d,]+) sent = ([\d,]+) acknowledged \+ ([\d,]+) failed", out)
    assert match, out
    sent, acknowledged, failed = (int(number.replace(",", "")) for number in match.groups())
    assert sent == acknowledged + failed > 0
    assert failed == 0
    assert await size(kafka_server.bootstrap) - before == acknowledged


@pytest.mark.kafka
async def test_a_broker_that_dies_is_an_error_with_an_account(mortal_kafka: KafkaServer) -> None:
    """When the broker goes away, Ctrl-C still ends the program in time; what was not acknowledged has failed."""
    process = await start("--bootstrap-servers", mortal_kafka.bootstrap, "--rate", "max", "--json")
    await growth(mortal_kafka.bootstrap)
    mortal_kafka.kill()
    process.send_signal(signal.SIGINT)
    begin = time.monotonic()
    code, out, _ = await outcome(process)
    assert time.monotonic() - begin < 3 + 2
    account = json.loads(out)
    assert account["sent"] == account["acknowledged"] + account["failed"]
    assert account["acknowledged"] > 0
    assert code == (1 if account["failed"] else 0)


async def test_an_unreachable_broker_is_one_line(unused_address: str) -> None:
    """Nobody at the address: one line that says where and why, exit code 1."""
    code, out, err = await outcome(await start("--bootstrap-servers", unused_address))
    assert (code, out) == (1, "")
    assert err.count("\n") == 1
    assert f"no Kafka broker answered at {unused_address} within 5 s" in err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--rate", "fast"), "expected events per second, or max, got 'fast'"),
        (("--bootstrap-servers", "nowhere"), "expected host:port"),
        (("--duration", "10"), "expected a number with a unit"),
        (("--security-protocol", "SASL_SSL"), "SASL_SSL needs a user name and a password"),
        (("--chain", "no-such-chain"), "no chain 'no-such-chain'"),
    ],
)
async def test_wrong_usage_exits_with_2(arguments: tuple[str, ...], said: str) -> None:
    """What cannot work is refused before anything connects."""
    code, _, err = await outcome(await start(*arguments))
    assert code == 2
    assert said in err


@pytest.fixture
def unused_address() -> str:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{unused.getsockname()[1]}"


async def size(bootstrap: str) -> int:
    """Records in the topic, which is made when it is not there yet."""
    async with KafkaBus(bootstrap) as bus:
        await bus.create_topics({TOPIC: 4})
    return await end_offsets(bootstrap, TOPIC)


async def growth(bootstrap: str) -> None:
    """Wait until somebody publishes an event."""
    async with (
        asyncio.timeout(60),
        KafkaBus(bootstrap) as bus,
        bus.subscribe(TOPIC, auto_offset_reset="latest") as new,
    ):
        assert isinstance((await anext(new)).event, Event)
