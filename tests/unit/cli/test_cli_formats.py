"""`eventbus generate --format`, for the formats that have schemas, and the export of these."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import fastavro
import orjson
import pytest
from click.testing import CliRunner, Result

from eventbus.cli import cli
from tests.unit.chains.protofile import message_classes
from tests.unit.chains.test_chains_protobuf import split


def run(*arguments: str) -> Result:
    return CliRunner().invoke(cli, arguments)


def plain_ids(*arguments: str) -> list[str]:
    return [orjson.loads(line)["event_id"] for line in run("generate", *arguments).stdout_bytes.splitlines()]


def test_an_avro_file(tmp_path: Path) -> None:
    """`--format avro` writes a container file of the same events, with the digest of all its bytes."""
    out = tmp_path / "events.avro"
    result = run("generate", "--chains", "30", "--seed", "7", "--format", "avro", "--out", str(out))
    assert result.exit_code == 0
    with out.open("rb") as file:
        events: list[Any] = list(fastavro.reader(file))
        assert [event["event_id"] for event in events] == plain_ids("--chains", "30", "--seed", "7")
    assert hashlib.sha256(out.read_bytes()).hexdigest() in result.stderr
    assert f"{out.stat().st_size:,} bytes" in result.stderr


def test_the_exported_schema_is_that_of_the_file(tmp_path: Path) -> None:
    """`catalog export` shows the schema that files are written with, or that of one event type."""
    out = tmp_path / "events.avro"
    run("generate", "--chains", "1", "--format", "avro", "--out", str(out))
    with out.open("rb") as file:
        written = fastavro.reader(file).metadata["avro.schema"]
    assert orjson.loads(run("catalog", "export", "--format", "avro").stdout) == orjson.loads(written)
    exported = run("catalog", "export", "--format", "avro", "--type", "omninode.agent.execution.failed.v1")
    assert orjson.loads(exported.stdout)["name"] == "ExecutionFailedV1"


def test_a_protobuf_file(tmp_path: Path) -> None:
    """`--format protobuf` writes the same events, to be read with the exported file."""
    out, schema = tmp_path / "events.pb", tmp_path / "events.proto"
    result = run("generate", "--chains", "30", "--seed", "7", "--format", "protobuf", "--out", str(out))
    assert result.exit_code == 0
    assert run("catalog", "export", "--format", "protobuf", "--out", str(schema)).exit_code == 0
    parse = message_classes(schema.read_text())["Event"].FromString
    assert [parse(message).event_id for message in split(out.read_bytes())] == plain_ids(
        "--chains", "30", "--seed", "7"
    )


@pytest.mark.parametrize("form", ["avro", "protobuf"])
def test_faults_need_json(form: str) -> None:
    """Faults break JSON: with another format that is said, and nothing is written."""
    result = run("generate", "--format", form, "--fault", "drop=0.1")
    assert result.exit_code == 2
    assert f"--fault and --ledger are about JSON: --format json or cloudevents, not {form}" in result.stderr
