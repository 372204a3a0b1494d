"""`make kafka`: the broker of the tests, started by hand for anyone who wants a real one at hand."""

from __future__ import annotations

import argparse
import signal
import sys
import time
from types import FrameType

from tests.kafka.maven import KAFKA_VERSION, UnavailableError
from tests.kafka.properties import USERS
from tests.kafka.server import KafkaServer, StartError


def main() -> int:
    """Start it, print its addresses, and stop it on Ctrl-C or SIGTERM."""
    parser = argparse.ArgumentParser(prog="python -m tests.kafka.broker", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="of the plain listener (default: a free one)")
    signal.signal(signal.SIGTERM, _interrupt)
    begin = time.monotonic()
    try:
        with KafkaServer(port=parser.parse_args().port) as server:
            print(welcome(server, time.monotonic() - begin), flush=True)
            while True:
                signal.pause()
    except KeyboardInterrupt:
        return 0
    except (UnavailableError, StartError) as error:
        print(f"no Kafka: {error}", file=sys.stderr)
        return 1


def welcome(server: KafkaServer, seconds: float) -> str:
    """What the user needs to connect."""
    users = ", ".join(f"{name} / {password}" for name, password in USERS.items())
    return "\n".join(
        [
            f"Apache Kafka {KAFKA_VERSION}, ready after {seconds:.1f} s; Ctrl-C stops it and removes its data",
            f"  bootstrap servers   {server.bootstrap}",
            f"  SASL_PLAINTEXT      {server.address('SASL_PLAINTEXT')}   (PLAIN, SCRAM-SHA-256; users {users})",
            f"  SSL, SASL_SSL       {server.address('SSL')}, {server.address('SASL_SSL')}   (CA {server.cafile})",
            f"  export KAFKA_BROKERS={server.bootstrap}",
        ]
    )


def _interrupt(signum: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
