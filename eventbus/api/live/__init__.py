"""Events as they come: one reader of the bus, any number of subscribers over SSE and WebSocket."""
