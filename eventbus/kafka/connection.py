"""Address and credentials of a cluster, and a check that says within seconds why it cannot be used."""

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
    """How to connect to a cluster."""

    bootstrap_servers: str
    """`host:port`, several separated by commas."""
    security: KafkaSecurity = field(default_factory=KafkaSecurity)
    client_id: str = "eventbus"
    connect_timeout: float = 5.0
    """Seconds until a cluster without an answer is reported as unreachable."""
    request_timeout: float = 10.0
    """Seconds for one request to one broker."""

    def __post_init__(self) -> None:
        for server in self.bootstrap_servers.split(","):
            host, colon, port = server.strip().rpartition(":")
            if not (host and colon and port.isdigit() and 0 < int(port) < 65536):
                raise InvalidSettings(f"bootstrap servers: expected host:port[,host:port…], got {server!r}")

    def client_arguments(self) -> dict[str, Any]:
        """The settings as keyword arguments of an aiokafka client."""
        return {
            "bootstrap_servers": self.bootstrap_servers,
            "client_id": self.client_id,
            "request_timeout_ms": int(self.request_timeout * 1000),
            **self.security.client_arguments(),
        }

    async def check(self) -> None:
        """Log in at one of the brokers and disconnect.

        aiokafka's clients report only that bootstrapping failed; this check reports the reason.

        Raises:
            AuthenticationFailed: a broker refused the credentials.
            BrokerUnreachable: no broker answered within `connect_timeout`.
        """
        problems: list[str] = []
        try:
            async with asyncio.timeout(self.connect_timeout):
                for host, port, _ in collect_hosts(self.bootstrap_servers):
                    problem = await self._check_broker(host, port)
                    if problem is None:
                        return
                    problems.append(problem)
        except TimeoutError:
            problems.append("no answer")
        raise self.unreachable("; ".join(dict.fromkeys(problems)))

    def unreachable(self, reason: str) -> BrokerUnreachable:
        """The exception for a cluster that does not answer at these addresses."""
        return BrokerUnreachable(
            f"no Kafka broker answered at {self.bootstrap_servers} within {self.connect_timeout:g} s: {reason}"
        )

    async def _check_broker(self, host: str, port: int) -> str | None:
        """None if the broker accepts the login, else the reason why it cannot be used."""
        arguments = self.client_arguments()
        del arguments["bootstrap_servers"]
        connection = None
        try:
            connection = await create_conn(host, port, **arguments)
            await connection.send(MetadataRequest([]))  # the first request that needs a login
        except (SaslAuthenticationFailed, UnsupportedSaslMechanismError) as error:
            login = f"{self.security.username} by {self.security.mechanism}"
            raise AuthenticationFailed(f"{host}:{port} refused to log in {login}: {reason(error)}") from error
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
