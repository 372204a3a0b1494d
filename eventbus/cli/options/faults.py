"""Faults to inject: `--fault late=0.01,min=1s,max=5s,chain=agent-execution`, and the ledger of what was injected."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, cast

import click

from eventbus.cli import types
from eventbus.cli.command import option, option_group

if TYPE_CHECKING:
    from eventbus.bus import EventBus
    from eventbus.catalog.model import Fault
    from eventbus.chains import ChainGenerator
    from eventbus.chains.rendering import Format

SECTION = "Faults and ledger"
SYNTAX = "KIND=RATE[,min=…,max=…,chain=…,type=…,field=…]"


def fault(text: str) -> Fault:
    """A kind with its rate, then bounds and the events it applies to; `chain`, `type` and `field` can be repeated."""
    from eventbus.catalog.model import Fault
    from eventbus.chains.errors import InvalidSetting
    from eventbus.chains.faults import check_fault

    first, *parts = text.split(",")
    kind, _, rate = first.partition("=")
    settings: dict[str, list[str]] = {"min": [], "max": [], "chain": [], "type": [], "field": []}
    for part in parts:
        name, equals, value = part.partition("=")
        if name not in settings or not equals:
            raise click.BadParameter(f"expected {SYNTAX}, got {part!r} in {text!r}")
        settings[name].append(value)
    parsed = Fault(
        kind=kind,
        rate=_rate(rate, text),
        bounds=_bounds(kind, settings["min"], settings["max"]),
        chains=tuple(settings["chain"]),
        event_types=tuple(settings["type"]),
        fields=tuple(settings["field"]),
    )
    try:
        check_fault(parsed)
    except InvalidSetting as error:
        raise click.BadParameter(str(error)) from error
    return parsed


def _rate(rate: str, text: str) -> float:
    try:
        return float(rate)
    except ValueError:
        raise click.BadParameter(f"expected {SYNTAX} with a rate of 0 to 1, such as late=0.01, got {text!r}") from None


def _bounds(kind: str, low: list[str], high: list[str]) -> tuple[int, int] | None:
    from eventbus.catalog.model import FAULT_KINDS, complete_bounds

    if kind not in FAULT_KINDS:
        return None
    return complete_bounds(kind, *(_bound(kind, texts[-1]) if texts else None for texts in (low, high)))


def _bound(kind: str, text: str) -> int:
    """Microseconds, or positions in the stream."""
    from eventbus.catalog.model import FAULT_KINDS

    if FAULT_KINDS[kind].unit == "time":
        return round(types.duration(text) * 1e6)
    if not text.isdigit():
        raise click.BadParameter(f"expected a whole number of places for {kind}, got {text!r}")
    return int(text)


fault_option = option(
    "--fault",
    "faults",
    multiple=True,
    type=fault,
    metavar="KIND=RATE[,…]",
    help="Inject a fault into a share of the events, such as late=0.01 or duplicate=0.02,max=3s,chain=NAME; "
    "repeatable. Kinds: drop, missing-started, tombstone, poison, corrupt, truncate, schema (field=NAME), "
    "wrong-tenant, orphan-causation, completed-before-started, clock-skew, changed-duplicate, duplicate, late, "
    "reorder.",
)
ledger_option = option(
    "--ledger",
    type=click.Path(dir_okay=False, path_type=Path),
    help="File to write, JSON lines: every chain as it was intended, and every fault. `eventbus verify` reads it.",
)


@dataclass(frozen=True, kw_only=True)
class FaultOptions:
    """The faults of a paced run, and the file of its ledger."""

    faults: tuple[Fault, ...]
    ledger: Path | None

    def check(self, generator: ChainGenerator, form: str = "json") -> None:
        """Raises click.UsageError: no event can have one of the faults, or the format does not allow faults."""
        from eventbus.chains import InvalidSetting
        from eventbus.chains.output import BINARY_FORMATS

        if form in BINARY_FORMATS and (self.faults or self.ledger):
            raise click.UsageError(f"--fault and --ledger are about JSON: --format json or cloudevents, not {form}")
        try:
            generator.injector(self.faults)
        except InvalidSetting as error:
            raise click.UsageError(str(error)) from error

    @contextmanager
    def with_faults(self, bus: EventBus, format: Format | None = None) -> Iterator[dict[str, Any]]:
        """Arguments of `ChainGenerator.run` for publishing with these faults; the ledger is open meanwhile.

        Args:
            bus: receives the records in `format`. Faults are injected into JSON events, which are converted behind
                that.
            format: None means JSON.
        """
        from eventbus.chains.rendering import JSON

        format = format or JSON
        if not self.faults and self.ledger is None:
            yield {"bus": bus, "format": format}
            return
        arguments = {"bus": _converting(bus, format), "format": JSON, "faults": self.faults}
        if self.ledger is None:
            yield arguments
            return
        with _opened(self.ledger) as ledger:
            yield {**arguments, "ledger": ledger}


def _opened(path: Path) -> BinaryIO:
    try:
        return path.open("wb")
    except OSError as error:
        raise click.FileError(str(path), hint=error.strerror) from error


def _converting(bus: EventBus, format: Format) -> EventBus:
    """The bus behind a conversion of JSON records to the format, where it differs."""
    from eventbus.chains.rendering import CLOUDEVENTS, CLOUDEVENTS_BINARY
    from eventbus.chains.rendering.json import ConvertedBus, binary, structured

    for converted_layout, convert in ((CLOUDEVENTS, structured), (CLOUDEVENTS_BINARY, binary)):
        if format is converted_layout:
            return cast("EventBus", ConvertedBus(bus, convert))
    return bus


fault_options = option_group(SECTION, fault_option, ledger_option, into=FaultOptions, argument="fault_options")


def format_counts(counts: Mapping[str, int]) -> str:
    """How many events have each kind of fault: `faults: 12 drop, 3 late`."""
    return "faults: " + (", ".join(f"{count:,} {kind}" for kind, count in counts.items()) or "none")
