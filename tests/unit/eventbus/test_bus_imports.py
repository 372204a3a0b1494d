"""What an import may cost, and that everything promised is there."""

from __future__ import annotations

import subprocess
import sys

import pytest

import eventbus

HEAVY = {"asyncio", "aiokafka", "numpy", "kio", "pydantic", "faust", "asyncpg", "yaml", "secrets"}


def loaded_by(statement: str) -> set[str]:
    """The heavy modules that a fresh interpreter has after a statement."""
    code = f"{statement}\nimport sys\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, check=True)
    return HEAVY & set(done.stdout.split())


@pytest.mark.parametrize(
    ("statement", "allowed"),
    [
        ("import eventbus", set()),
        ("from eventbus import Event", set()),
        ("import eventbus.processors", set()),
        ("from eventbus.processors import database", set()),
        ("import eventbus.pytest_plugin", {"asyncio"}),  # by pytest itself, in some versions
        ("from eventbus.broker import Broker; Broker()", set()),
        ("from eventbus import InProcessBus; InProcessBus()", {"asyncio"}),
    ],
)
def test_imports_stay_cheap(statement: str, allowed: set[str]) -> None:
    """Nothing heavy is imported before it is needed."""
    assert loaded_by(statement) <= allowed


def test_every_public_name_is_there() -> None:
    """`__all__` promises nothing that cannot be had, and is sorted."""
    assert list(eventbus.__all__) == sorted(eventbus.__all__)
    for name in eventbus.__all__:
        assert getattr(eventbus, name).__name__ == name


def test_an_unknown_name_is_an_attribute_error() -> None:
    """Looking names up late does not hide mistakes."""
    with pytest.raises(AttributeError, match="module 'eventbus' has no attribute 'Nothing'"):
        _ = eventbus.Nothing


def test_every_error_has_the_one_root() -> None:
    """`except EventBusError` is enough, and an error raised without words says what its docstring says."""
    names = [getattr(eventbus, name) for name in eventbus.__all__]
    errors = [thing for thing in names if isinstance(thing, type) and issubclass(thing, Exception)]
    assert len(errors) > 10
    for error in errors:
        assert issubclass(error, eventbus.EventBusError)
        if error.__init__ is eventbus.EventBusError.__init__:
            assert str(error()) == error.__doc__
