"""Live events: one reader of the bus, and any number of subscribers over SSE and WebSocket."""
