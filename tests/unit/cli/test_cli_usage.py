"""What the program says to input that cannot be meant."""

from __future__ import annotations

import errno

import pytest
from click.testing import CliRunner

from eventbus.cli import cli
from eventbus.cli.errors import failure


@pytest.mark.parametrize(
    "command",
    [
        ["events", "--limit", "99999999999999999999"],
        ["mock", "--rate", "nan"],
        ["mock", "--rate", "1e+30"],
        ["mock", "--interval", "inf"],
        ["mock", "--speed", "nan"],
        ["stream", "--speed", "inf"],
    ],
)
def test_numbers_out_of_bounds_are_wrong_usage(command: list[str]) -> None:
    """The option and what came are named, before anything starts."""
    result = CliRunner().invoke(cli, command)
    assert result.exit_code == 2
    assert f"Invalid value for '{command[1]}'" in result.stderr
    assert command[2] in result.stderr


def test_options_that_contradict_each_other_are_wrong_usage() -> None:
    """Chains begin at a rate or at intervals; neither option is ignored in silence."""
    result = CliRunner().invoke(cli, ["mock", "--rate", "50", "--interval", "2"])
    assert result.exit_code == 2
    assert "--rate and --interval contradict each other: expected one of them" in result.stderr


@pytest.mark.parametrize("address", ["postgresql://[::1/x", "nonsense", "mysql://localhost/x"])
def test_an_address_that_is_none_is_said_in_one_line(address: str) -> None:
    """A database URL that cannot be read is an error like a server that does not answer."""
    result = CliRunner().invoke(cli, ["stats", "--database-url", address])
    assert result.exit_code == 1
    assert result.stderr.startswith(f"Error: cannot connect to PostgreSQL at {address}: ")
    assert result.stderr.count("\n") == 1


def test_a_full_disk_is_no_bug() -> None:
    """It is said in one line; a bug of ours shows its stack."""
    assert failure(OSError(errno.ENOSPC, "No space left on device")) is not None
    assert failure(BrokenPipeError(errno.EPIPE, "Broken pipe")) is None
    assert failure(ValueError("bug")) is None


def test_the_worker_reads_the_catalog_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """`EVENTBUS_CATALOG` holds for `process` as for the Faust worker: a missing file ends it before it connects."""
    monkeypatch.setenv("EVENTBUS_CATALOG", "no/such/catalog.yaml, other.yaml")
    result = CliRunner().invoke(cli, ["process"])
    assert result.exit_code == 2
    assert "no/such/catalog.yaml" in result.stderr


def test_mistakes_in_the_environment_name_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wrong values are wrong usage."""
    monkeypatch.setenv("EVENTBUS_PORT", "http")
    monkeypatch.setenv("EVENTBUS_PIPELINES", "0")
    result = CliRunner().invoke(cli, ["stats"])
    assert result.exit_code == 2
    assert "EVENTBUS_PORT: " in result.stderr
    assert "EVENTBUS_PIPELINES: " in result.stderr
