"""HTML and SVG from nested calls; whatever is no markup yet is escaped."""

from __future__ import annotations

from html import escape


class Markup(str):
    """Text that is markup already."""

    __slots__ = ()


VOID = {"meta", "br"}


def tag(name: str, /, *children: str, **attributes: object) -> Markup:
    """An element. `class_` gives the attribute `class`, `stroke_width` gives `stroke-width`; None leaves it out."""
    given = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(written(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    if name in VOID:
        return Markup(f"<{name}{given}>")
    return Markup(f"<{name}{given}>{joined(*children)}</{name}>")


def joined(*parts: str) -> Markup:
    """Markup behind markup."""
    return Markup("".join(part if isinstance(part, Markup) else escape(part) for part in parts))


def written(value: object) -> str:
    """Coordinates have one decimal: more cannot be seen."""
    return f"{value:.1f}".removesuffix(".0") if isinstance(value, float) else str(value)
