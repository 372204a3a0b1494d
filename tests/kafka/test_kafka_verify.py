"""`eventbus stream --fault … --ledger …` into a real Kafka, and `eventbus verify --topic` of what is there then."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from asyncio.subprocess import PIPE
from pathlib import Path
from typing import Any

import pytest

from eventbus.chains.faults import KINDS
from tests.kafka.server import KafkaServer
from tests.sinks.conftest import until

pytestmark = pytest.mark.kafka

STREAM = ("stream", "--seed", "3", "--rate", "500", "--speed", "10")


async def eventbus(folder: Path, *arguments: str, stop_at: int | None = None) -> tuple[int | None, str, str]:
    """Exit code, stdout and stderr of a command; Ctrl-C comes once the ledger has so many bytes."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "eventbus", *arguments, stdout=PIPE, stderr=PIPE, cwd=folder
    )
    async with asyncio.timeout(90):
        if stop_at is not None:
            ledger = folder / "ledger.jsonl"
            await until(lambda: ledger.exists() and ledger.stat().st_size >= stop_at)
            process.send_signal(signal.SIGINT)
        out, err = await process.communicate()
    return process.returncode, out.decode(), err.decode()


async def verified(folder: Path, bootstrap: str, *arguments: str) -> tuple[int | None, dict[str, Any]]:
    command = ("verify", "--topic", "omninode.*", "--bootstrap-servers", bootstrap, "--significance", "1e-9", "--json")
    code, out, err = await eventbus(folder, *command, *arguments)
    assert out, err
    report: dict[str, Any] = json.loads(out)
    return code, report


def failed(report: dict[str, Any]) -> set[str]:
    return {check["name"] for check in report["checks"] if not check["passed"]}


async def test_a_clean_topic_passes(mortal_kafka: KafkaServer, tmp_path: Path) -> None:
    """Domains with several partitions each, as the catalog says: everything in the ledger is there, and in order."""
    bootstrap = mortal_kafka.bootstrap
    code, _, err = await eventbus(
        tmp_path, *STREAM, "--bootstrap-servers", bootstrap, "--duration", "15s", "--ledger", "ledger.jsonl"
    )
    assert code == 0, err
    code, report = await verified(tmp_path, bootstrap, "--ledger", "ledger.jsonl")
    assert (code, failed(report)) == (0, set())
    assert report["lines"] > 1000


async def test_faults_in_topics_are_those_of_the_ledger(mortal_kafka: KafkaServer, tmp_path: Path) -> None:
    """Also after Ctrl-C: what was under way has arrived, and what was held back is known."""
    bootstrap = mortal_kafka.bootstrap
    faults = [part for kind in KINDS for part in ("--fault", f"{kind}=0.02")]
    code, _, err = await eventbus(
        tmp_path, *STREAM, "--bootstrap-servers", bootstrap, *faults, "--ledger", "ledger.jsonl", stop_at=2 << 20
    )
    assert code == 0, err
    code, report = await verified(tmp_path, bootstrap, "--ledger", "ledger.jsonl")
    assert code == 1
    assert set(report["faults"]) == set(KINDS)
    assert not {"ledger", "keys", "partitions"} & failed(report)
    place = next(finding["place"] for check in report["checks"] for finding in check["findings"] if finding["place"])
    assert place.startswith("omninode.")


async def test_a_topic_that_is_not_there(kafka_server: KafkaServer, tmp_path: Path) -> None:
    """It is said, and none is made."""
    for _ in range(2):
        code, _, err = await eventbus(
            tmp_path, "verify", "--topic", "no-such-topic", "--bootstrap-servers", kafka_server.bootstrap
        )
        assert code == 1
        assert f"no topic no-such-topic at {kafka_server.bootstrap}" in err
