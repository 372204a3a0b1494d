"""How fetched chunks reach the agents: from the in-process bus, and from Kafka."""
