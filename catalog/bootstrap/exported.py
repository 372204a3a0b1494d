"""Chains from documents that were exported from a catalog."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml

from eventbus.catalog.bootstrap.flow import flow
from eventbus.catalog.errors import InvalidCatalog, Mistake
from eventbus.catalog.model import Chain
from eventbus.catalog.reading.chains import read_chain
from eventbus.catalog.reading.source import Node


def chains(document: Mapping[str, Any]) -> dict[str, Chain]:
    """The chains of an AsyncAPI document: of `x-chains`, or pieced together from the `x-chain` of its operations.

    Raises:
        InvalidCatalog: they cannot be read.
    """
    found = document.get("x-chains") or _pieced(document)
    mistakes: list[Mistake] = []
    read = {name: read_chain(name, _node(name, _file_form(one), mistakes)) for name, one in found.items()}
    if mistakes:
        raise InvalidCatalog(mistakes)
    return read


def _node(name: str, value: Any, mistakes: list[Mistake]) -> Node:
    composed = yaml.compose(flow(value), yaml.SafeLoader)
    assert composed is not None
    return Node(composed, "x-chains", (name,), mistakes)


def _file_form(chain: Mapping[str, Any]) -> dict[str, Any]:
    """A chain as a file has it: exported completely, or with the ways as they are shown."""
    if "x-source" in chain:
        return dict(chain["x-source"])
    kept = {name: chain[name] for name in ("description", "weight", "start", "variables") if chain.get(name)}
    states = {name: _state(state) for name, state in chain["states"].items()}
    return {"weight": 1, **kept, "states": states}


def _state(state: Mapping[str, Any]) -> dict[str, Any]:
    if "next" not in state:
        return {"emits": state["emits"], "outcome": state.get("outcome", "completed")}
    ways = [{"to": way["state"], "weight": way["probability"], "delay": way["delay_ms"]} for way in state["next"]]
    return {"emits": state["emits"], "total": sum(way["weight"] for way in ways), "next": ways}


def _pieced(document: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for operation in document.get("operations", {}).values():
        for place in operation.get("x-chain", ()):
            name = operation["messages"][0]["$ref"].rsplit("/", 1)[-1]
            states = found.setdefault(place["chain"], {"states": {}})["states"]
            states[place["state"]] = {"emits": name, **{k: place[k] for k in ("next", "outcome") if k in place}}
    for chain in found.values():
        reached = {way["state"] for state in chain["states"].values() for way in state.get("next", ())}
        chain["start"] = next((name for name in chain["states"] if name not in reached), next(iter(chain["states"])))
    return found
