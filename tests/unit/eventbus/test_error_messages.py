"""Every exception of the package says something, also one that is raised without a message."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Iterator

import eventbus


def exceptions() -> Iterator[type[BaseException]]:
    """All exceptions that the package defines."""
    for module in pkgutil.walk_packages(eventbus.__path__, "eventbus."):
        if not module.name.endswith("__main__"):
            for value in vars(importlib.import_module(module.name)).values():
                if inspect.isclass(value) and issubclass(value, BaseException) and value.__module__ == module.name:
                    yield value


def made(kind: type[BaseException]) -> BaseException:
    """One with nothing but the arguments that it requires."""
    parameters = inspect.signature(kind).parameters.values()
    required = [p for p in parameters if p.default is p.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
    given = {p.name: () if "Iterable" in p.annotation or "Sequence" in p.annotation else "x" for p in required}
    return kind(**given)


def test_every_error_has_a_message() -> None:
    """`Error: ` and nothing else was what the command line printed of an empty catalog."""
    every = list(exceptions())
    assert len(every) > 40
    assert [kind.__qualname__ for kind in every if not str(made(kind)).strip()] == []
