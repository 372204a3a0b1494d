"""Catalogs that nobody wrote by hand: made from schemas or recorded events, and written as YAML for people."""

from eventbus.catalog.infer.draft import DraftCatalog, infer

__all__ = ["DraftCatalog", "infer"]
