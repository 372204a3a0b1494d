"""Kafka's model of topics, logs and consumer groups: synchronous, without an event loop or a network."""
