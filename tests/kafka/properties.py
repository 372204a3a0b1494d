"""What the test broker is told: one small KRaft node, four listeners, three users, one of them with few rights."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path

from tests.kafka import maven

Ports = Mapping[str, int]

LISTENERS = ("PLAINTEXT", "SASL_PLAINTEXT", "SSL", "SASL_SSL", "CONTROLLER")

USERS = {"alice": "alice-secret", "guest": "guest-secret"}
"""`alice` may do everything, as may who does not log in (`ANONYMOUS`); `guest` may do what an ACL grants."""

STORE_PASSWORD = "store-secret"

# Retention goes by the records' own timestamps: without -1, events of a fixed virtual time vanish after half a minute.
NODE = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@{host}:{controller}
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
log.dirs={folder}/data
log.retention.ms=-1
auto.create.topics.enable=false
num.network.threads=2
num.io.threads=2
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=500
offsets.topic.replication.factor=1
offsets.topic.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
share.coordinator.state.topic.num.partitions=1
"""

SECURITY = """\
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
super.users=User:ANONYMOUS;User:alice
sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256
ssl.keystore.type=PKCS12
ssl.keystore.location={folder}/keystore.p12
ssl.keystore.password={store_password}
"""


def server_properties(folder: Path, ports: Ports, host: str) -> str:
    """The text of `server.properties`."""
    listeners = ",".join(f"{name}://{host}:{port}" for name, port in ports.items())
    protocols = ",".join(f"{name}:{'PLAINTEXT' if name == 'CONTROLLER' else name}" for name in ports)
    return "".join(
        [
            NODE.format(host=host, controller=ports["CONTROLLER"], folder=folder),
            f"listeners={listeners}\n",
            f"listener.security.protocol.map={protocols}\n",
            SECURITY.format(folder=folder, store_password=STORE_PASSWORD),
            *map(_logins, ("sasl_plaintext", "sasl_ssl")),
        ]
    )


def _logins(listener: str) -> str:
    package = "org.apache.kafka.common.security"
    users = " ".join(f'user_{name}="{password}"' for name, password in USERS.items())
    return (
        f"listener.name.{listener}.plain.sasl.jaas.config={package}.plain.PlainLoginModule required {users};\n"
        f"listener.name.{listener}.scram-sha-256.sasl.jaas.config={package}.scram.ScramLoginModule required;\n"
    )


def scram_credentials() -> list[str]:
    """Arguments of the storage formatter that make the users known to SCRAM."""
    return [
        argument
        for name, password in USERS.items()
        for argument in ("--add-scram", f"SCRAM-SHA-256=[name={name},password={password}]")
    ]


def make_certificate(folder: Path) -> None:
    """A self-signed certificate for this machine: `keystore.p12` for the broker, `ca.pem` for its clients."""
    keytool = [str(maven.java().with_name("keytool")), "-J-XX:TieredStopAtLevel=1"]
    store = ["-keystore", str(folder / "keystore.p12"), "-storepass", STORE_PASSWORD, "-alias", "broker"]
    identity = ["-dname", "CN=localhost", "-ext", "san=ip:127.0.0.1,dns:localhost", "-ext", "bc:critical=ca:true"]
    generate = ["-genkeypair", "-keyalg", "EC", "-groupname", "secp256r1", "-validity", "30", *identity]
    export = ["-exportcert", "-rfc", "-file", str(folder / "ca.pem")]
    for action in (generate, export):
        subprocess.run([*keytool, *action, *store], capture_output=True, check=True)
