"""Variables of chains again, slow and obvious: the number behind each, and its value."""

from __future__ import annotations

from typing import Any

from eventbus.catalog import Catalog, Chain
from tests.unit.chains.draws import GOLDEN, MASK, Randomness, below, mix, purpose


def drawn(catalog: Catalog, chain: Chain, random: Randomness, name: str, trigger: int = 0) -> int:
    """The number behind a variable, from 0.

    Args:
        trigger: number of the trigger of the chain; 0: it was not triggered.
    """
    variable = chain.variables[name]
    if variable.list is not None:
        count = len(catalog.lists[variable.list])
    else:
        count = (variable.maximum or 0) - (variable.minimum or 0) + 1
    if variable.per is not None:
        owner = drawn(catalog, chain, random, variable.per, trigger)
        return below(mix((purpose("per", variable.per, name) + owner * GOLDEN) & MASK), count)
    word = random.word("variable", chain.name, name, step=trigger)
    if variable.where:
        assert variable.list is not None
        return among(matching(catalog, chain, random, variable.list, variable.where, trigger), word)
    own = count if variable.slots is None else max(count // variable.slots, 1)
    if variable.zipf:
        weights = [1 / rank for rank in range(1, own + 1)]
        number = random.among(weights, "variable", chain.name, name, step=trigger)
    else:
        number = below(word, own)
    return number if variable.slots is None else random.index % variable.slots + variable.slots * number


def matching(  # noqa: PLR0917
    catalog: Catalog,
    chain: Chain,
    random: Randomness,
    items: str,
    where: tuple[tuple[str, str], ...],
    trigger: int = 0,
) -> list[int]:
    """The items of a list that have a value in common with those that the conditions name."""
    wanted = [(name, _several(value(catalog, chain, random, owner, trigger))) for name, owner in where]
    return [
        number
        for number, item in enumerate(catalog.lists[items])
        if all(any(one == two for one in _several(item[name]) for two in values) for name, values in wanted)
    ]


def among(numbers: list[int], word: int) -> int:
    """One of some numbers."""
    return numbers[(word >> 32) * len(numbers) >> 32]


def _several(one: Any) -> list[Any]:
    return one if isinstance(one, list) else [one]


def value(catalog: Catalog, chain: Chain, random: Randomness, reference: str, trigger: int = 0) -> Any:
    """The value of `variable` or `variable.attribute`."""
    name, _, attribute = reference.partition(".")
    number, items = drawn(catalog, chain, random, name, trigger), catalog.lists.get(chain.variables[name].list or "")
    if items is None:
        return number + (chain.variables[name].minimum or 0)
    return items[number][attribute] if attribute else items[number]
