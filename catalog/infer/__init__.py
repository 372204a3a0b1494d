"""Catalogs that nobody wrote by hand: made from schemas or recorded events, and written as YAML for people."""

from eventbus.catalog.infer.draft import Sketch, bootstrap

__all__ = ["Sketch", "bootstrap"]
