"""What comes between and instead of a block's lines, as columns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from eventbus.chains.randomness import Integers


class Cuts(NamedTuple):
    """Texts that come before a row of a block, or instead of it."""

    rows: Integers
    replaces: Integers
    """1: the row is gone; 0: it comes next."""
    texts: list[bytes | None]
    """With newlines; None: nothing comes."""
    kinds: Integers
    """Emitters of the events that they were, or are."""
    times: Integers
    """In the texts, microseconds since the Unix epoch."""
    dues: Integers
    """When they come."""

    @classmethod
    def joined(cls, parts: Sequence[Cuts]) -> Cuts:
        """All of them, those before the same row in the same order, and before what comes instead of it."""
        texts = [text for part in parts for text in part.texts]
        if not texts:
            return NONE
        rows, replaces, _, *others = (_joined(column) for column in zip(*parts, strict=True))
        order = (rows * 2 + replaces).argsort(kind="stable")
        columns: list[Any] = [column.take(order) for column in others]
        return cls(rows.take(order), replaces.take(order), [texts[place] for place in order.tolist()], *columns)

    @property
    def lines(self) -> int:
        """How many more lines there are."""
        return len(self.texts) - self.texts.count(None) - int(self.replaces.sum())


def _joined(columns: tuple[Any, ...]) -> Any:
    return columns if isinstance(columns[0], list) else np.concatenate(columns)


_nothing = np.empty(0, np.int64)
NONE = Cuts(_nothing, _nothing, [], _nothing, _nothing, _nothing)
