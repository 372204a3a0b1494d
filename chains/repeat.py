"""Repeats the run of a ledger: what the ledger's first record says it was made from, as far as its last one says."""

from __future__ import annotations

import re
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from eventbus.catalog import Catalog
from eventbus.catalog.scenario import load_origin
from eventbus.chains.errors import InvalidLedger, InvalidSetting
from eventbus.chains.faults.inject import Injector
from eventbus.chains.faults.record import FORMAT, RunRecord
from eventbus.chains.faults.splice import FaultyBlock
from eventbus.chains.generator import ChainGenerator
from eventbus.chains.rendering import JSON, Format
from eventbus.chains.rendering.block import Block
from eventbus.chains.window import RunWindow
from eventbus.version import package_version

CHAIN = re.compile(rb'\{"record":"chain","index":([0-9]+),')


class RepeatedRun:
    """The run of a ledger, to be made again in virtual time.

    It has the same lines in the same order, whether the run was paced or not. A run that was stopped ends where it
    stopped, and chains that a paced run left out for its `max_lag` are left out.

    Args:
        ledger: its lines.
        catalog: that of the run. None: it is loaded as it was for the run.
        paths, scenario: where the files of the catalog and of the scenario are now, if not where they were.

    Raises:
        InvalidLedger: it is not a ledger, or its first line lacks what makes the run.
        InvalidSetting: the catalog is not that of the run; or the ledger is cut off, and the run has no end.
        CatalogError: the catalog cannot be loaded as it was.
    """

    def __init__(
        self,
        ledger: Iterable[bytes],
        catalog: Catalog | None = None,
        *,
        paths: Sequence[Path] = (),
        scenario: str | None = None,
    ) -> None:
        run, totals, indices = _read(ledger)
        self.record = RunRecord.read(run)
        #: Events and lines that the run had; None: the ledger is cut off, and the run is made to its end.
        self.totals = totals
        if catalog is None:
            origin = self.record.catalog
            catalog = load_origin(
                replace(origin, paths=tuple(map(str, paths)) or origin.paths, scenario=scenario or origin.scenario)
            )
        self._check(catalog)
        stopped_at = None if totals is None or "stopped_at" not in totals else _instant(totals["stopped_at"])
        self.generator = ChainGenerator.like(self.record, catalog, stopped_at)
        chains, duration = self.record.chains, self.record.duration
        #: By index of a chain: whether the run had it. None: it had all that its bounds say.
        self._kept: NDArray[np.bool_] | None = None
        if totals is not None and (self.record.max_lag is not None or (chains is None and duration is None)):
            chains = max(indices, default=-1) + 1  # if there were further ones, they began after its end
            self._kept = np.zeros(chains, np.bool_)
            self._kept[np.array(indices, np.int64)] = True
        if chains is None and duration is None and self.generator.arrivals is not None:
            duration = self.generator.arrivals.duration
        if chains is None and duration is None:
            raise InvalidSetting("the ledger has no totals, and its run has no end: how long it was cannot be told")
        self.window = RunWindow(chains=chains, duration=duration)
        self._stopped = False

    @property
    def version_note(self) -> str | None:
        """What to tell the user where the ledger is of another version of this package."""
        if self.record.version == package_version():
            return None
        return (
            f"the ledger is of version {self.record.version} and this is {package_version()}: "
            "`eventbus guide changes` says whether the bytes changed between them"
        )

    def blocks(self, *, workers: int = 1, format: Format = JSON) -> Iterator[Block]:
        """The events of the run without its faults.

        Args:
            workers, format: as for `ChainGenerator.blocks`.
        """
        window = RunWindow(chains=self.window.chains, duration=self.window.duration, workers=workers)
        blocks = window.blocks(self.generator, format)
        if self._kept is not None:
            blocks = _of_chains(self._kept, blocks)
        return blocks if self.totals is None else self._up_to(blocks, _count(self.totals, "events"))

    def injected(self, injector: Injector, blocks: Iterable[Block]) -> Iterator[FaultyBlock]:
        """The lines of the run, with the faults of an injector, which are usually `record.faults`.

        Args:
            blocks: those of `blocks`.
        """
        lines = None if self.totals is None else _count(self.totals, "lines")
        for block in blocks:
            if len(block):
                yield injector.inject(block, int(block.table.time[-1]) - 1)
        if not self._stopped:
            injector.finish()
        while injector.next_due is not None and (lines is None or injector.written < lines):
            yield injector.release(injector.next_due)
        injector.close()

    def _check(self, catalog: Catalog) -> None:
        if catalog.digest != self.record.catalog.sha256:
            raise InvalidSetting(
                f"the ledger's run had the catalog {self.record.catalog.sha256[:12]} (version {self.record.version}, "
                f"given as {_described(self.record)}), and this is {catalog.digest[:12]} (version {package_version()})"
            )

    def _up_to(self, blocks: Iterable[Block], events: int) -> Iterator[Block]:
        """The first events; notes whether others would follow."""
        self._stopped = False
        for block in blocks:
            if len(block) > events:
                self._stopped = True
                if events:
                    yield block[:events]
                return
            events -= len(block)
            yield block


def _of_chains(kept: NDArray[np.bool_], blocks: Iterable[Block]) -> Iterator[Block]:
    """The events of some chains."""
    for block in blocks:
        rows = np.flatnonzero(kept.take(block.table.chain))
        if rows.size:
            yield block if rows.size == len(block) else block.packed(rows)


def _read(ledger: Iterable[bytes]) -> tuple[Mapping[str, Any], Mapping[str, Any] | None, array[int]]:
    """The first record, the totals if the ledger has them, and the indices of the chains in between.

    Raises:
        InvalidLedger: the first line is not that of a ledger.
    """
    lines = iter(ledger)
    run, last, indices = _parsed(next(lines, b"")), b"", array("q")
    if run.get("record") != "run" or run.get("format") != FORMAT:
        raise InvalidLedger(f"expected a ledger, which begins with a run of format {FORMAT}")
    for last in lines:
        if match := CHAIN.match(last):
            indices.append(int(match[1]))
    totals = _parsed(last)
    return run, totals if totals.get("record") == "totals" else None, indices


def _parsed(line: bytes) -> Mapping[str, Any]:
    """The record of a line; empty if it is none."""
    try:
        record = orjson.loads(line)
    except orjson.JSONDecodeError:
        return {}
    return record if isinstance(record, dict) else {}


def _count(totals: Mapping[str, Any], name: str) -> int:
    """Raises InvalidLedger: the totals do not have it."""
    if not isinstance(totals.get(name), int):
        raise InvalidLedger(f"the ledger's last line has no number of {name}")
    return int(totals[name])


def _instant(text: object) -> datetime:
    """Raises InvalidLedger: the text is not a time with a zone."""
    try:
        time = datetime.fromisoformat(str(text))
    except ValueError:
        time = datetime.min
    if time.tzinfo is None:
        raise InvalidLedger(f"the ledger's last line has {text!r}, which is not the time at which its run was stopped")
    return time


def _described(record: RunRecord) -> str:
    """The options that gave a run its catalog."""
    origin = record.catalog
    names = {"--catalog": origin.paths, "--set": origin.settings, "--chain": origin.chains}
    options = [f"{name} {value}" for name, values in names.items() for value in values]
    scenario = [] if origin.scenario is None else [f"--scenario {origin.scenario}"]
    return " ".join(chain(scenario, options)) or "the shipped one"
