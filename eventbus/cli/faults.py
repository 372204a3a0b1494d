"""Faults as an option: `--fault late=0.01,min=1s,max=5s,chain=agent-execution`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from eventbus.cli.parameters import Duration

if TYPE_CHECKING:
    from chains.faults import Fault

FORM = "KIND=RATE[,min=…,max=…,chain=…,type=…,field=…]"


class FaultParameter(click.ParamType):
    """A kind and a rate, then where it may strike and how far it goes; names may be repeated."""

    name = "fault"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Fault:
        from chains import InvalidSetting
        from chains.faults import Fault

        if isinstance(value, Fault):
            return value
        first, *rest = str(value).split(",")
        kind, _, rate = first.partition("=")
        settings: dict[str, list[str]] = {"min": [], "max": [], "chain": [], "type": [], "field": []}
        for part in rest:
            name, equals, text = part.partition("=")
            if name not in settings or not equals:
                self.fail(f"expected {FORM}, got {part!r} in {value!r}", param, ctx)
            settings[name].append(text)
        try:
            return Fault(
                kind=kind,
                rate=self._number(rate, value),
                bounds=self._bounds(kind, settings["min"], settings["max"]),
                chains=tuple(settings["chain"]),
                event_types=tuple(settings["type"]),
                fields=tuple(settings["field"]),
            )
        except InvalidSetting as error:
            self.fail(str(error), param, ctx)

    def _number(self, text: str, value: str) -> float:
        try:
            return float(text)
        except ValueError:
            self.fail(f"expected {FORM} with a rate of 0 to 1, such as late=0.01, got {value!r}")

    def _bounds(self, kind: str, low: list[str], high: list[str]) -> tuple[int, int] | None:
        """Both bounds; one that is not given is the kind's own, as far as the other lets it."""
        from chains.faults import KINDS

        if (not low and not high) or kind not in KINDS:
            return None
        least, most = KINDS[kind].bounds
        given_low = self._bound(kind, low[-1]) if low else None
        given_high = self._bound(kind, high[-1]) if high else None
        if given_low is None:
            given_low = min(least, most if given_high is None else given_high)
        return given_low, max(most, given_low) if given_high is None else given_high

    def _bound(self, kind: str, text: str) -> int:
        """Microseconds, or places in the stream."""
        from chains.faults import KINDS

        if KINDS[kind].unit == "time":
            return round(Duration().convert(text, None, None) * 1e6)
        if not text.isdigit():
            self.fail(f"expected a whole number of places for {kind}, got {text!r}")
        return int(text)


fault_option = click.option(
    "--fault",
    "faults",
    multiple=True,
    type=FaultParameter(),
    metavar="KIND=RATE[,…]",
    help="Do this to a share of the events, such as late=0.01 or duplicate=0.02,max=3s,chain=NAME; repeatable."
    " Kinds: drop, missing-started, tombstone, poison, corrupt, schema (field=NAME), wrong-tenant, orphan-causation,"
    " completed-before-started, clock-skew, changed-duplicate, duplicate, late, reorder.",
)
