"""Catalogs that nobody wrote by hand: made from schemas or recorded events, and written as YAML for people."""

from eventbus.catalog.bootstrap.initial import bootstrap
from eventbus.catalog.bootstrap.sketch import Sketch

__all__ = ["Sketch", "bootstrap"]
