"""Every error of this door, and the one form in which clients see them: `error`, and `details` by field."""

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
    """The HTTP door could not do what was asked."""


class CannotListen(ApiError):
    """The address to serve on cannot be had."""

    def __init__(self, host: str, port: int, reason: str) -> None:
        super().__init__(f"cannot listen on {host}:{port}: {reason}")
        self.host = host
        self.port = port


class PortInUse(CannotListen):
    """Another program listens on this address already."""

    def __init__(self, host: str, port: int, option: str) -> None:
        super().__init__(host, port, f"another program does already; choose another port with {option}")


class FeedFailed(ApiError):
    """The live feed cannot read the bus."""


class Detail(NamedTuple):
    """What is wrong with one field."""

    field: str
    message: str
    """What was expected and what came."""


class Refusal(ApiError):
    """A request that gets an error answer.

    Args:
        status: HTTP status, 4xx or 5xx.
        message: the sentence under `error`.
        details: the fields at fault.
    """

    def __init__(self, status: int, message: str, details: Iterable[Detail] = ()) -> None:
        super().__init__(message)
        self.status = status
        self.details = tuple(details)


def bad_request(field: str, message: str) -> Refusal:
    """The refusal for one malformed field."""
    return Refusal(400, f"invalid {field}", [Detail(field, message)])


def json_answer(content: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """A JSON answer by the encoder that the events use."""
    return Response(orjson.dumps(content), status, headers, "application/json")


def error_answer(
    status: int, message: str, details: Iterable[Detail] = (), headers: Mapping[str, str] | None = None
) -> Response:
    """An answer in the error form."""
    return json_answer({"error": message, "details": [detail._asdict() for detail in details]}, status, headers)


def handle_errors(app: FastAPI) -> None:
    """Make every failure of this application a JSON answer in the error form."""
    app.add_exception_handler(Refusal, _refusal)
    app.add_exception_handler(RequestValidationError, _invalid_request)
    app.add_exception_handler(WebSocketRequestValidationError, _invalid_websocket)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(EventBusError, _bus_failed)
    app.add_exception_handler(OSError, _store_failed)  # TimeoutError and ConnectionError are kinds of it
    app.add_exception_handler(Exception, _unexpected)


async def _refusal(request: Any, error: Any) -> Response:
    return error_answer(error.status, str(error), error.details)


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
    return error_answer(error.status_code, message, headers=error.headers)


async def _bus_failed(request: Any, error: Any) -> Response:
    log.warning("bus_failed", error=str(error), kind=type(error).__name__)
    return error_answer(503, f"the bus failed: {error}")


async def _store_failed(request: Any, error: Any) -> Response:
    log.warning("store_failed", error=str(error), kind=type(error).__name__)
    return error_answer(503, "the event store does not answer")


async def _unexpected(request: Any, error: Any) -> Response:
    # The text of an unknown error may hold a secret: it goes to the log (by the server, with its trace), not out.
    return error_answer(500, "internal error; the server's log has the cause")


def _invalid(errors: Iterable[Any]) -> Response:
    details = [_detail(error) for error in errors]
    return error_answer(400, f"invalid {', '.join(detail.field for detail in details)}", details)


def _detail(error: Mapping[str, Any]) -> Detail:
    """One of pydantic's errors; its `loc` starts with the part of the request, such as `query`."""
    field = ".".join(map(str, error["loc"][1:])) or str(error["loc"][0])
    if error["type"] == "extra_forbidden":
        return Detail(field, "unknown parameter; /docs lists those there are")
    message = str(error["msg"]).removeprefix("Value error, ")
    return Detail(field, f"{message}, got {_shown(error.get('input'))}")


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
