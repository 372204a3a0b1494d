"""How often `verify` calls a sound run wrong: `python -m tests.soak.verify [--seeds 200] [--chains 1500] [NAME …]`.

NAME is `default`, the shipped catalog, or a scenario. The runs are clean and their ledgers hold, so whatever fails is a
false alarm, and by the tests of figures only. At a significance of 0.05 there are enough of them to be counted. The
exit code is 1 if there are more than chance explains, or any other check fails.
"""

from __future__ import annotations

import argparse
import io
import os
import sys
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from math import comb

from eventbus.catalog import Scenario
from eventbus.chains import ChainGenerator
from eventbus.chains.verification import verify

SIGNIFICANCES = (0.05, 0.001)
FIGURES = {"shares", "branches", "delays"}
BEYOND_CHANCE = 1e-4
"""So seldom do sound tests give so many alarms that something is wrong with them."""

Failures = dict[float, list[str]]
"""The checks that failed, by significance."""


def failures(name: str, seed: int, chains: int) -> Failures:
    """What `verify` finds in one sound run."""
    generator = ChainGenerator(seed=seed) if name == "default" else ChainGenerator.from_scenario(name, seed=seed)
    phases = () if name == "default" else Scenario.load(name).phases
    book = io.BytesIO()
    stage = generator.injector((), book)
    lines = [line for block in stage.blocks(generator.blocks(chains=chains)) for line in block.lines()]
    ledger = book.getvalue().splitlines()
    found = {}
    for significance in SIGNIFICANCES:
        report = verify(lines, generator.catalog, ledger=ledger, significance=significance, phases=phases)
        found[significance] = [check.name for check in report.checks if not check.passed]
    return found


def chance(alarms: int, runs: int, share: float) -> float:
    """How likely so many alarms or more are."""
    return sum(comb(runs, n) * share**n * (1 - share) ** (runs - n) for n in range(alarms, runs + 1))


def told(name: str, runs: Sequence[Failures]) -> bool:
    """Prints the rates; returns whether they are as they should be."""
    sound = True
    for significance in SIGNIFICANCES:
        failed = [run[significance] for run in runs if run[significance]]
        counts = Counter(check for checks in failed for check in checks)
        likely = chance(len(failed), len(runs), significance)
        by_check = ", ".join(f"{check} {count}" for check, count in counts.most_common()) or "none"
        print(f"{name}: {len(failed)} of {len(runs)} at {significance} ({by_check}); so many or more: {likely:.3g}")
        sound &= likely >= BEYOND_CHANCE and counts.keys() <= FIGURES
    return sound


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", default=["default"], metavar="NAME")
    parser.add_argument("--seeds", type=int, default=200)
    parser.add_argument("--chains", type=int, default=1500)
    chosen = parser.parse_args(arguments)
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        every = [
            told(name, list(pool.map(partial(failures, name, chains=chosen.chains), range(chosen.seeds))))
            for name in chosen.names
        ]
    return not all(every)


if __name__ == "__main__":
    sys.exit(main())
