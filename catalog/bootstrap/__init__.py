"""Catalogs that nobody wrote by hand: made from schemas or recorded events, and written as YAML for people."""

from catalog.bootstrap.initial import bootstrap
from catalog.bootstrap.sketch import Sketch

__all__ = ["Sketch", "bootstrap"]
