"""From fetched records to rows: routed, batched, decoded, and written in exactly-once transactions."""
