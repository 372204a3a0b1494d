"""Where the brokers are, and the first contact: it finds out within seconds why there will be no second."""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import dataclass, field
from typing import Any

from aiokafka.conn import collect_hosts, create_conn
from aiokafka.errors import KafkaError, SaslAuthenticationFailed, UnsupportedSaslMechanismError
from aiokafka.protocol.metadata import MetadataRequest

from eventbus.errors import AuthenticationFailed, BrokerUnreachable, InvalidSettings
from eventbus.kafka.errors import reason
from eventbus.kafka.security import KafkaSecurity


@dataclass(frozen=True, kw_only=True)
class Connection:
    """How to reach a cluster, and how long to wait for it."""

    bootstrap_servers: str
    """`host:port`, several joined by commas."""
    security: KafkaSecurity = field(default_factory=KafkaSecurity)
    client_id: str = "eventbus"
    connect_timeout: float = 5.0
    """Seconds until a cluster that does not answer is reported as unreachable."""
    request_timeout: float = 10.0
    """Seconds for one request to one broker."""

    def __post_init__(self) -> None:
        for server in self.bootstrap_servers.split(","):
            host, colon, port = server.strip().rpartition(":")
            if not (host and colon and port.isdigit() and 0 < int(port) < 65536):
                raise InvalidSettings(f"bootstrap servers: expected host:port[,host:port…], got {server!r}")

    def client_arguments(self) -> dict[str, Any]:
        """Keyword arguments that every aiokafka client takes."""
        return {
            "bootstrap_servers": self.bootstrap_servers,
            "client_id": self.client_id,
            "request_timeout_ms": int(self.request_timeout * 1000),
            **self.security.client_arguments(),
        }

    async def probe(self) -> None:
        """Log in at one of the servers and leave again.

        aiokafka's own start only says that it could not bootstrap; this says why.

        Raises:
            AuthenticationFailed: a server answered and refused the credentials.
            BrokerUnreachable: none answered within `connect_timeout`.
        """
        problems: list[str] = []
        try:
            async with asyncio.timeout(self.connect_timeout):
                for host, port, _ in collect_hosts(self.bootstrap_servers):
                    problem = await self._knock(host, port)
                    if problem is None:
                        return
                    problems.append(problem)
        except TimeoutError:
            problems.append("no answer")
        raise self.unreachable("; ".join(dict.fromkeys(problems)))

    def unreachable(self, why: str) -> BrokerUnreachable:
        """The error that says where nobody answered, and why."""
        return BrokerUnreachable(
            f"no Kafka broker answered at {self.bootstrap_servers} within {self.connect_timeout:g} s: {why}"
        )

    async def _knock(self, host: str, port: int) -> str | None:
        """None when the server lets us in, else what went wrong."""
        arguments = self.client_arguments()
        del arguments["bootstrap_servers"]
        connection = None
        try:
            connection = await create_conn(host, port, **arguments)
            await connection.send(MetadataRequest([]))  # the first question that needs a login where there is one
        except (SaslAuthenticationFailed, UnsupportedSaslMechanismError) as error:
            who = f"{self.security.username} by {self.security.mechanism}"
            raise AuthenticationFailed(f"{host}:{port} refused to log in {who}: {reason(error)}") from error
        except ssl.SSLError as error:
            return f"TLS failed: {getattr(error, 'verify_message', '') or error.reason or error}"
        except KafkaError as error:
            return f"{reason(error)} (is {self.security.protocol} the protocol of that port?)"
        except OSError as error:
            return error.strerror or reason(error)
        finally:
            if connection:
                connection.close()
        return None
