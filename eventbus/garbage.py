"""Garbage collection, where it costs much and finds nothing."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def collection_paused() -> Iterator[None]:
    """Without cyclic garbage collection, for making very many objects at once of which none is garbage.

    Each 700 new objects start a collection, which visits them and sometimes all that there are. Other threads have
    none either; it goes on at the end, if it was on at the beginning.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
