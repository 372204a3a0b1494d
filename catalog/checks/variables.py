"""Rules for variables that follow another one, or favour their first numbers."""

from __future__ import annotations

from collections.abc import Iterator

from eventbus.catalog.model import Chain, Variable
from eventbus.catalog.words import Place, listed, suggestion

Problem = tuple[Place, str]

MOST_NUMBERS = 1_000_000
"""Of a range that others follow, or whose first numbers are favoured."""


def variable_problems(chain: Chain) -> Iterator[Problem]:
    """What is wrong with `by` and `zipf` of a chain's variables."""
    for variable in chain.variables.values():
        place: Place = ("chains", chain.name, "variables", variable.name)
        if variable.zipf:
            yield from ((place, problem) for problem in _range_problems(variable))
        if variable.by is not None:
            yield from (((*place, "by"), problem) for problem in _owner_problems(variable, chain))


def _range_problems(variable: Variable) -> Iterator[str]:
    if variable.minimum is None or variable.maximum is None:
        yield "zipf belongs to a whole number, with `min` and `max`"
    elif variable.maximum - variable.minimum >= MOST_NUMBERS:
        yield f"expected at most {MOST_NUMBERS:,} numbers, got {variable.maximum - variable.minimum + 1:,}"


def _owner_problems(variable: Variable, chain: Chain) -> Iterator[str]:
    owner = chain.variables.get(variable.by or "")
    if owner is None:
        near = suggestion(variable.by or "", chain.variables)
        yield f"no variable {variable.by!r}{near}; the chain has {listed(chain.variables)}"
    elif owner.by is not None or owner is variable:
        yield f"expected a variable that follows no other one, got {owner.name!r}"
    elif variable.list is None:
        yield "expected `list` too: each value of the other variable has an item of it"
