"""Values of the catalog can be pickled."""

from __future__ import annotations

import pickle

from eventbus.catalog import Catalog
from eventbus.catalog.graph.expand import graph_of
from eventbus.catalog.payload_models import payload_model


def test_a_catalog_that_was_used_can_be_sent_to_another_process() -> None:
    """Graphs and pydantic models, which are derived from the fields, are not sent but built again there."""
    catalog = Catalog.load()
    for name, kind in catalog.events.items():
        catalog.validate(name, {})
        assert payload_model(kind)
    assert catalog.conformance
    assert all(graph_of(chain).nodes for chain in catalog.chains.values())
    sent = pickle.loads(pickle.dumps(catalog))
    assert sent == catalog
    assert sent.validate("omninode.intelligence.query.requested.v1", {"query": "q", "operation_type": "o"}) == []
