"""Whether the phases of a run are ones."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

from eventbus.catalog import Catalog
from eventbus.catalog.model.workload import Phase
from eventbus.chains.errors import InvalidSetting


def checked(phases: Sequence[Phase], catalog: Catalog) -> tuple[Phase, ...]:
    """The same phases.

    Raises:
        InvalidSetting: their moments do not rise from 0 or more, or a factor is out of range.
        UnknownName: a phase names a chain that the catalog does not have.
    """
    for phase in phases:
        if not (0 <= phase.failed < math.inf and 0 < phase.delay < math.inf):
            raise InvalidSetting(f"expected factors that are finite, of 0 or more (delay: above 0), got {phase}")
        for name in phase.chains:
            catalog.chain(name)
    moments = [phase.at for phase in phases]
    if not all(0 <= moment < math.inf for moment in moments) or any(b <= a for a, b in pairwise(moments)):
        raise InvalidSetting(f"expected phases whose moments rise from 0 or more, got {moments}")
    return tuple(phases)
