"""Errors of the HTTP API, and the JSON form of every error response: `error`, and `details` by field."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import orjson
import structlog
from fastapi import FastAPI, Request, Response, WebSocket
from fastapi.exceptions import RequestValidationError, WebSocketRequestValidationError
from starlette.exceptions import HTTPException

from eventbus.errors import EventBusError

log = structlog.get_logger(__name__)


class ApiError(EventBusError):
    """The HTTP API failed."""


class CannotListen(ApiError):
    """The server cannot listen on its address."""

    def __init__(self, host: str, port: int, reason: str) -> None:
        super().__init__(f"cannot listen on {host}:{port}: {reason}")
        self.host = host
        self.port = port


class PortInUse(CannotListen):
    """Another program listens on this address."""

    def __init__(self, host: str, port: int, option: str) -> None:
        super().__init__(host, port, f"another program does already; choose another port with {option}")


class FeedFailed(ApiError):
    """The live feed cannot read the bus."""


class Detail(NamedTuple):
    """What is wrong with one field."""

    field: str
    message: str
    """What was expected, and what was given."""


class ProblemError(ApiError):
    """A request that is answered with an error response.

    Args:
        status: HTTP status, 4xx or 5xx.
        message: the value of `error`.
        details: the invalid fields.
    """

    def __init__(self, status: int, message: str, details: Iterable[Detail] = ()) -> None:
        super().__init__(message)
        self.status = status
        self.details = tuple(details)


def bad_request(field: str, message: str) -> ProblemError:
    """The error for one invalid field."""
    return ProblemError(400, f"invalid {field}", [Detail(field, message)])


def json_response(content: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """A JSON response, encoded by orjson as events are."""
    return Response(orjson.dumps(content), status, headers, "application/json")


def error_response(
    status: int, message: str, details: Iterable[Detail] = (), headers: Mapping[str, str] | None = None
) -> Response:
    """An error response."""
    return json_response({"error": message, "details": [detail._asdict() for detail in details]}, status, headers)


def handle_errors(app: FastAPI) -> None:
    """Answer every exception of the application with an error response."""
    app.add_exception_handler(ProblemError, _problem)
    app.add_exception_handler(RequestValidationError, _invalid_request)
    app.add_exception_handler(WebSocketRequestValidationError, _invalid_websocket)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(EventBusError, _bus_failed)
    app.add_exception_handler(OSError, _store_failed)  # includes TimeoutError and ConnectionError
    app.add_exception_handler(Exception, _unexpected)


async def _problem(request: Any, error: Any) -> Response:
    return error_response(error.status, str(error), error.details)


async def _invalid_request(request: Any, error: Any) -> Response:
    return _invalid(error.errors())


async def _invalid_websocket(websocket: WebSocket, error: Any) -> None:
    await websocket.send_denial_response(_invalid(error.errors()))


async def _http(request: Request, error: Any) -> Response:
    if error.status_code == 404:
        message = f"nothing at {request.url.path}; /docs lists what there is"
    elif error.status_code == 405:
        message = f"{request.url.path} does not take {request.method}"
    else:
        message = str(error.detail)
    return error_response(error.status_code, message, headers=error.headers)


async def _bus_failed(request: Any, error: Any) -> Response:
    log.warning("bus_failed", error=str(error), kind=type(error).__name__)
    return error_response(503, f"the bus failed: {error}")


async def _store_failed(request: Any, error: Any) -> Response:
    log.warning("store_failed", error=str(error), kind=type(error).__name__)
    return error_response(503, "the event store does not answer")


async def _unexpected(request: Any, error: Any) -> Response:
    # The message of an unknown exception may contain a secret; the server logs it with its traceback.
    return error_response(500, "internal error; the server's log has the cause")


def _invalid(errors: Iterable[Any]) -> Response:
    details = [_detail(error) for error in errors]
    return error_response(400, f"invalid {', '.join(detail.field for detail in details)}", details)


def _detail(error: Mapping[str, Any]) -> Detail:
    """The detail for a pydantic error, whose `loc` starts with the part of the request, such as `query`."""
    field = ".".join(map(str, error["loc"][1:])) or str(error["loc"][0])
    if error["type"] == "extra_forbidden":
        return Detail(field, "unknown parameter; /docs lists those there are")
    message = str(error["msg"]).removeprefix("Value error, ")
    return Detail(field, f"{message}, got {_shown(error.get('input'))}")


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
