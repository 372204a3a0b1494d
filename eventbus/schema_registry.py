"""Client of a schema registry with Confluent's REST API.

Source: docs.confluent.io, "Schema Registry API Reference".
"""

from __future__ import annotations

import json
from base64 import b64encode
from contextlib import suppress
from http.client import HTTPException
from typing import Any, Literal
from urllib.error import HTTPError, URLError
from urllib.parse import quote, unquote, urlsplit, urlunsplit
from urllib.request import Request, urlopen

from eventbus.errors import InvalidSettings, SchemaRegistryError

CONTENT_TYPE = "application/vnd.schemaregistry.v1+json"
MAX_MESSAGE = 300
"""Characters of a response quoted in an error message."""


class SchemaRegistry:
    """Registers schemas.

    Args:
        url: base of the API, such as `http://localhost:8081`; it may contain user and password.
        auth: `user:password`, if the URL has none.
        timeout: seconds for each request.

    Raises:
        InvalidSettings: the URL is invalid.
    """

    def __init__(self, url: str, *, auth: str | None = None, timeout: float = 5.0) -> None:
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise InvalidSettings(f"expected a schema registry such as http://localhost:8081, got {url!r}")
        login, _, host = parts.netloc.rpartition("@")
        self.url = urlunsplit((parts.scheme, host, parts.path.rstrip("/"), "", ""))
        """Without user and password."""
        self._login = unquote(login) or auth
        self._timeout = timeout

    def register(self, subject: str, schema: str, kind: Literal["AVRO", "PROTOBUF"]) -> int:
        """Register a schema as the latest version of a subject, unless it has it; returns the schema id.

        Raises:
            SchemaRegistryError: the registry cannot be reached, or refuses the schema.
        """
        # Avro is the default, and old registries do not know `schemaType`
        body = {"schema": schema} if kind == "AVRO" else {"schema": schema, "schemaType": kind}
        response = self._post(f"/subjects/{quote(subject, safe='')}/versions", body, subject)
        try:
            return int(response["id"])
        except (KeyError, TypeError, ValueError):
            raise SchemaRegistryError(
                f"expected {{'id': …}} from the schema registry at {self.url}, got {response!r:.{MAX_MESSAGE}}"
            ) from None

    def _post(self, path: str, body: dict[str, str], subject: str) -> Any:
        headers = {"Content-Type": CONTENT_TYPE, "Accept": CONTENT_TYPE}
        if self._login:
            headers["Authorization"] = f"Basic {b64encode(self._login.encode()).decode()}"
        request = Request(self.url + path, json.dumps(body).encode(), headers)
        try:
            with urlopen(request, timeout=self._timeout) as response:
                return json.load(response)
        except HTTPError as error:
            raise SchemaRegistryError(self._error_message(error, subject)) from error
        except (URLError, HTTPException, OSError) as error:
            reason = getattr(error, "reason", None) or error
            raise SchemaRegistryError(
                f"no schema registry answered at {self.url} within {self._timeout:g} s: {reason}"
            ) from error
        except ValueError as error:
            raise SchemaRegistryError(f"expected JSON from the schema registry at {self.url}: {error}") from error

    def _error_message(self, error: HTTPError, subject: str) -> str:
        message = _message(error)
        match error.code:
            case 401 | 403:
                return (
                    f"the schema registry at {self.url} refuses the credentials ({error.code}): give them in the"
                    " address, http://user:password@host, or as EVENTBUS_SCHEMA_REGISTRY_AUTH=user:password"
                )
            case 404:
                return (
                    f"the schema registry at {self.url} answers 404: expected the base of Confluent's API,"
                    " such as http://localhost:8081, or http://localhost:8080/apis/ccompat/v7 for Apicurio"
                )
            case 409:
                return f"the subject {subject} has a schema that this catalog's is not compatible with (409): {message}"
            case 422:
                return f"the schema registry at {self.url} considers the schema of {subject} invalid (422): {message}"
            case code:
                return f"the schema registry at {self.url} answers {code} for {subject}: {message}"


def _message(error: HTTPError) -> str:
    """The registry's error message, in one line."""
    try:
        text = error.read().decode(errors="replace")
    except (HTTPException, OSError):
        return str(error.reason)
    with suppress(ValueError, KeyError, TypeError):
        text = json.loads(text)["message"]
    return " ".join(str(text).split())[:MAX_MESSAGE] or str(error.reason)
