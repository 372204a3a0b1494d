"""Tenants as an option: `--tenants 50`, or `--tenants 50:1.2` for sizes that are more, or less, unequal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from eventbus.catalog.model import Tenants


class TenantsParameter(click.ParamType):
    """A number, and the exponent of Zipf's law."""

    name = "tenants"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Tenants:
        from eventbus.catalog.model import Tenants
        from eventbus.chains import InvalidSetting
        from eventbus.chains.rendering.fixed import Tenancy

        if isinstance(value, Tenants):
            return value
        count, colon, exponent = str(value).partition(":")
        try:
            tenants = Tenants(count=int(count), exponent=float(exponent) if colon else 1.0)
            Tenancy(tenants)
        except ValueError:
            self.fail(f"expected a number of tenants such as 50, or 50:1.2 with an exponent, got {value!r}", param, ctx)
        except InvalidSetting as error:
            self.fail(str(error), param, ctx)
        return tenants


tenants_option = click.option(
    "--tenants",
    type=TenantsParameter(),
    metavar="N[:EXPONENT]",
    help="Chains of N tenants, their sizes by Zipf's law, each with hours of its own [one tenant].",
)
