"""The client of a schema registry, against a server that responds as Confluent's reference says."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any, NamedTuple

import pytest

from eventbus.errors import InvalidSettings, SchemaRegistryError
from eventbus.kafka import SchemaRegistry


class Asked(NamedTuple):
    """A request that was received."""

    path: str
    headers: dict[str, str]
    body: dict[str, Any]


class Server:
    """Gives the same response to every request."""

    def __init__(self) -> None:
        self.answer: tuple[int, bytes] = (200, b'{"id": 7}')
        self.asked: list[Asked] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                outer.asked.append(Asked(self.path, dict(self.headers), body))
                status, answer = outer.answer
                self.send_response(status)
                self.send_header("content-length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, format: str, *args: Any) -> None:
                """Do not log."""

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"127.0.0.1:{self.http.server_port}"


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    thread = Thread(target=server.http.serve_forever, args=(0.01,))
    thread.start()
    yield server
    server.http.shutdown()
    server.http.server_close()
    thread.join()


def test_a_schema_is_posted(server: Server) -> None:
    """The subject is in the path, the schema in the body; the type is sent only if it is not Avro."""
    registry = SchemaRegistry(f"http://{server.address}/apis/ccompat/v7/")
    assert registry.register("a/b-value", "{}", "AVRO") == 7
    assert registry.register("p", "syntax", "PROTOBUF") == 7
    avro, protobuf = server.asked
    assert (avro.path, avro.body) == ("/apis/ccompat/v7/subjects/a%2Fb-value/versions", {"schema": "{}"})
    assert protobuf.body == {"schema": "syntax", "schemaType": "PROTOBUF"}
    assert avro.headers["Content-Type"] == "application/vnd.schemaregistry.v1+json"
    assert "Authorization" not in avro.headers


def test_credentials(server: Server) -> None:
    """Credentials of the URL take precedence, are decoded, and appear in no message."""
    SchemaRegistry(f"http://me:s%40crt@{server.address}", auth="other:one").register("s", "{}", "AVRO")
    SchemaRegistry(f"http://{server.address}", auth="other:one").register("s", "{}", "AVRO")
    logins = [asked.headers["Authorization"] for asked in server.asked]
    assert logins == ["Basic bWU6c0BjcnQ=", "Basic b3RoZXI6b25l"]
    server.answer = (401, b"")
    with pytest.raises(SchemaRegistryError, match=f"the schema registry at http://{server.address} refuses") as error:
        SchemaRegistry(f"http://me:s%40crt@{server.address}").register("s", "{}", "AVRO")
    assert "crt" not in str(error.value)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ((401, b'{"error_code": 401, "message": "no"}'), r"refuses the credentials \(401\)"),
        ((404, b"<html>"), "answers 404: expected the base of Confluent's API"),
        (
            (409, b'{"message": "reader\\n  field"}'),
            r"a schema that this catalog's is not compatible with \(409\): rea",
        ),
        ((422, b'{"message": "bad"}'), r"considers the schema of s invalid \(422\): bad"),
        ((500, b"oops"), "answers 500 for s: oops"),
        ((200, b"[]"), r"expected \{'id': …\} from the schema registry at .*, got \[\]"),
        ((200, b"hello"), "expected JSON from the schema registry"),
    ],
)
def test_refusals_are_clear(server: Server, answer: tuple[int, bytes], said: str) -> None:
    """An unexpected response gives one line with what was expected and what was received."""
    server.answer = answer
    with pytest.raises(SchemaRegistryError, match=said) as error:
        SchemaRegistry(f"http://{server.address}").register("s", "{}", "AVRO")
    assert "\n" not in str(error.value)


def test_a_registry_that_does_not_answer() -> None:
    """If the server cannot be reached, the error has the address and the reason."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{unused.getsockname()[1]}"
        with pytest.raises(SchemaRegistryError, match=f"no schema registry answered at http://{address} within 5 s: "):
            SchemaRegistry(f"http://{address}").register("s", "{}", "AVRO")


@pytest.mark.parametrize("url", ["localhost:8081", "ftp://host", "http://", ""])
def test_invalid_addresses(url: str) -> None:
    """An invalid URL is refused at once."""
    with pytest.raises(InvalidSettings, match="expected a schema registry such as http://localhost:8081"):
        SchemaRegistry(url)
