"""Kafka's model of topics, logs and consumer groups, without a network; only the watchers know an event loop."""

from eventbus.broker.broker import Broker, BrokerStatistics, GroupStatistics

__all__ = ["Broker", "BrokerStatistics", "GroupStatistics"]
