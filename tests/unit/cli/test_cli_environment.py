"""Where options get their values from: the command line, then the environment, then a file `.env`."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from eventbus.cli import cli
from eventbus.cli.commands.stream import stream
from eventbus.kafka.producer import ProducerSettings

COMMANDS = {
    "stream": ["stream", "--duration", "1s"],
    "stream with sinks": ["stream", "--to", "kafka", "--duration", "1s"],
    "process": ["process", "--data-dir", "data"],
    "verify": ["verify", "--topic", "omninode.agent"],
    "serve": ["serve", "--data-dir", "data"],
}
"""Every command that connects to Kafka. With production's strictness, `serve` fails without a broker like the rest."""

NOBODY = {"environment": "127.0.0.1:2", "file": "127.0.0.1:3", "option": "127.0.0.1:4"}
"""Addresses at which nobody listens, by where they are given."""


def run(arguments: list[str], environment: dict[str, str | None]) -> Result:
    clean = {"KAFKA_BROKERS": None, "DATABASE_URL": None, "APP_ENV": "production"}
    return CliRunner(env={**clean, **environment}).invoke(cli, arguments)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(
    ("given", "used"),
    [
        ({"file"}, "file"),
        ({"environment"}, "environment"),
        ({"file", "environment"}, "environment"),
        ({"file", "environment", "option"}, "option"),
    ],
    ids=["file", "environment", "both", "all"],
)
def test_every_command_finds_the_brokers(command: str, given: set[str], used: str, folder: Path) -> None:
    """A command tries the brokers of its option, else of the environment, else of `.env`: its error names them."""
    if "file" in given:
        (folder / ".env").write_text(f"# local settings\nKAFKA_BROKERS={NOBODY['file']}\n")
    arguments = COMMANDS[command] + (["--bootstrap-servers", NOBODY["option"]] if "option" in given else [])
    result = run(arguments, {"KAFKA_BROKERS": NOBODY["environment"] if "environment" in given else None})
    assert result.exit_code in (1, 2)
    assert NOBODY[used] in result.output
    assert not any(address in result.output for place, address in NOBODY.items() if place != used)


def test_an_empty_variable_hides_that_of_the_file(folder: Path) -> None:
    """The environment wins over the file also where it has an empty value, which stands for the default."""
    (folder / ".env").write_text(f"KAFKA_BROKERS={NOBODY['file']}\n")
    with stream.make_context("stream", [], resilient_parsing=True) as context:
        option = next(parameter for parameter in stream.params if parameter.name == "bootstrap_servers")
        assert option.resolve_envvar_value(context) == NOBODY["file"]
    with CliRunner(env={"KAFKA_BROKERS": ""}).isolation(), stream.make_context("stream", []) as context:
        assert context.params["bootstrap_servers"] == "127.0.0.1:9092"


def test_a_file_that_is_no_text_is_wrong_usage(folder: Path) -> None:
    """It is named, instead of a traceback."""
    (folder / ".env").write_bytes(b"KAFKA_BROKERS=\xff\xfe")
    result = run(["stream"], {})
    assert result.exit_code == 2
    assert ".env cannot be read" in result.output


def test_a_folder_called_env_is_none_of_our_business(folder: Path) -> None:
    """Virtual environments are called so, too."""
    (folder / ".env").mkdir()
    assert NOBODY["environment"] in run(["stream"], {"KAFKA_BROKERS": NOBODY["environment"]}).output


@pytest.mark.parametrize(
    ("arguments", "variable", "line", "compression"),
    [
        ([], None, "", "none"),
        ([], None, "EVENTBUS_COMPRESSION=gzip", "gzip"),
        ([], "lz4", "EVENTBUS_COMPRESSION=gzip", "lz4"),
        (["--compression", "zstd"], "lz4", "EVENTBUS_COMPRESSION=gzip", "zstd"),
    ],
)
def test_records_are_compressed_only_if_asked(
    folder: Path, arguments: list[str], variable: str | None, line: str, compression: str
) -> None:
    """Without a word records go to Kafka as they are, which every client can read."""
    (folder / ".env").write_text(f"{line}\n")
    isolated = CliRunner(env={"EVENTBUS_COMPRESSION": variable}).isolation()
    with isolated, stream.make_context("stream", arguments) as context:
        assert context.params["compression"] == compression


def test_the_bus_does_not_compress_by_itself() -> None:
    """The default of the library is that of the command."""
    assert ProducerSettings().compression == "none"
