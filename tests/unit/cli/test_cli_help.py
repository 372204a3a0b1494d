"""`--help`: options in sections, each with an explanation, and nothing heavy imported to show them."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import click
import pytest
from click.testing import CliRunner

from eventbus.catalog.model import FAULT_KINDS
from eventbus.cli import COMMANDS, cli

HEAVY = "numpy faust mode fastapi aiokafka aiohttp asyncpg pydantic rich.live yaml eventbus.catalog eventbus.chains"


def commands(group: click.Group, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        if isinstance(command, click.Group):
            yield from commands(command, (*path, name))
        else:
            yield (*path, name), command


ALL = list(commands(cli))


@pytest.mark.parametrize("command", [command for _, command in ALL], ids=[" ".join(path) for path, _ in ALL])
def test_every_option_is_explained(command: click.Command) -> None:
    """Each option has a help text, and each command an example."""
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            assert parameter.help, f"{command.name} {parameter.opts}"
    assert "Example" in (command.help or "")


@pytest.mark.parametrize(
    ("command", "section", "option"),
    [
        ("generate", "Which part of the run:", "--from TIME"),
        ("generate", "Faults and ledger:", "--ledger FILE"),
        ("stream", "Sinks:", "--when-full"),
        ("stream", "Kafka connection:", "--bootstrap-servers"),
        ("process", "Store:", "--database-url URL"),
    ],
)
def test_options_stand_in_sections(command: str, section: str, option: str) -> None:
    """An option is listed below the title of its section, before the next title."""
    lines = CliRunner().invoke(cli, [command, "--help"]).stdout.splitlines()
    titles = [number for number, line in enumerate(lines) if line.endswith(":") and not line.startswith(" ")]
    begin = lines.index(section)
    end = min((number for number in titles if number > begin), default=len(lines))
    assert any(line.strip().startswith(option) for line in lines[begin:end])


def test_secrets_come_from_the_environment_too() -> None:
    """The help names the environment variable of an option, and its default."""
    text = " ".join(CliRunner().invoke(cli, ["stream", "--help"]).stdout.split())
    assert "[env var: EVENTBUS_SASL_PASSWORD]" in text
    assert "[env var: KAFKA_BROKERS; default: 127.0.0.1:9092]" in text


@pytest.mark.parametrize("arguments", [[], *([name] for name in COMMANDS)], ids=str)
def test_help_imports_nothing_heavy(arguments: list[str]) -> None:
    """Of any command: the libraries that do the work are imported when it runs."""
    code = (
        "import sys; from eventbus.cli import cli; cli([*sys.argv[2:], '--help'], standalone_mode=False); "
        "sys.exit(', '.join(set(sys.argv[1].split()) & set(sys.modules)) or None)"
    )
    done = subprocess.run([sys.executable, "-c", code, HEAVY, *arguments], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr


def test_help_lists_every_kind_of_fault() -> None:
    """In the order of the catalog, which the help does not import; those that can be limited to fields say so."""
    text = " ".join(CliRunner().invoke(cli, ["generate", "--help"]).stdout.split())
    listed = text.partition(" Kinds: ")[2].partition(". --ledger")[0].replace("- ", "-")
    assert listed.split(", ") == [
        f"{kind} (field=NAME)" if spec.has_fields else kind for kind, spec in FAULT_KINDS.items()
    ]


def test_catalog_commands_do_without_asyncio() -> None:
    """No event loop runs in them."""
    code = (
        "import sys; from eventbus.cli import cli; cli(['catalog', 'list'], standalone_mode=False); "
        "sys.exit('asyncio' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=False).returncode == 0
