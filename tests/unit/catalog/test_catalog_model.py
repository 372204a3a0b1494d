"""Values of the catalog on their way to another process."""

from __future__ import annotations

import pickle

from eventbus.catalog import Catalog


def test_a_catalog_that_was_used_can_be_sent_to_another_process() -> None:
    """What was worked out from the fields, such as pydantic models, stays behind, and is worked out again there."""
    catalog = Catalog.load()
    for name, kind in catalog.events.items():
        catalog.validate(name, {})
        assert kind.payload_model
    assert catalog.conformance
    assert all(chain.graph.nodes for chain in catalog.chains.values())
    sent = pickle.loads(pickle.dumps(catalog))
    assert sent == catalog
    assert sent.validate("omninode.intelligence.query.requested.v1", {"query": "q", "operation_type": "o"}) == []
