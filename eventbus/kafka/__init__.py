"""The bus on a real Kafka or Redpanda."""

from eventbus.kafka.bus import KafkaBus
from eventbus.kafka.producer import Compression, DeliveryStatistics
from eventbus.kafka.security import KafkaSecurity, SaslMechanism, SecurityProtocol
from eventbus.kafka.subscription import KafkaSubscription
from eventbus.schema_registry import SchemaRegistry

__all__ = [
    "Compression",
    "DeliveryStatistics",
    "KafkaBus",
    "KafkaSecurity",
    "KafkaSubscription",
    "SaslMechanism",
    "SchemaRegistry",
    "SecurityProtocol",
]
