"""A uvicorn server on the running event loop, which the program starts and stops."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import socket
from collections.abc import Iterator
from types import TracebackType
from typing import Self

import uvicorn
from fastapi import FastAPI

from eventbus.api.live.feed import LiveFeed
from eventbus.api.problems import CannotListen, PortInUse


class Server:
    """Serves an application on one address.

    Args:
        app: of `create_app`.
        host: name or address to listen on.
        port: 0 chooses a free port, which `port` has after the start.
        option: the command line option for the port, named in the error if the port is in use.
    """

    def __init__(self, app: FastAPI, host: str = "127.0.0.1", port: int = 3000, *, option: str = "--port") -> None:
        self.host = host
        self.port = port
        self._app = app
        self._option = option
        self._uvicorn = _Uvicorn(
            uvicorn.Config(
                app,
                log_config=None,
                access_log=False,
                ws_per_message_deflate=False,  # it would compress each frame for each client
                timeout_graceful_shutdown=1,
            )
        )
        self._serving: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        return f"<Server {self.url}, {'running' if self._serving else 'not running'}>"

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    @property
    def url(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}"

    @property
    def connections(self) -> int:
        """Number of open connections."""
        return len(self._uvicorn.server_state.connections)

    async def start(self) -> None:
        """Start listening; the server accepts connections when this returns.

        Raises:
            PortInUse: another program listens on the port.
            CannotListen: the server cannot listen on the address for another reason.
        """
        listener = self._listen()
        self.port = listener.getsockname()[1]
        self._serving = asyncio.create_task(self._uvicorn.serve([listener]), name="http-server")
        await self._uvicorn.listening.wait()

    async def stop(self) -> None:
        """End open streams with a last message, finish open requests, and close, within three seconds."""
        if self._serving is None:
            return
        feed: LiveFeed = self._app.state.live
        await feed.close(patience=0.5)
        self._uvicorn.should_exit = True
        await self._serving
        self._serving = None
        await self._uvicorn.abort_connections()

    def _listen(self) -> socket.socket:
        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        # asyncio sets TCP_NODELAY only if the protocol is given. Without it, a response, which is a head and a body,
        # would wait 40 ms for the client's acknowledgement of the head.
        listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        try:
            if os.name == "posix":  # on other systems, it lets two programs share a port
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((self.host, self.port))
            listener.listen()
        except OSError as error:
            listener.close()
            if error.errno == errno.EADDRINUSE:
                raise PortInUse(self.host, self.port, self._option) from error
            raise CannotListen(self.host, self.port, str(error)) from error
        return listener


class _Uvicorn(uvicorn.Server):
    """Leaves signals to the program, and reports when it listens."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listening = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.listening.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def abort_connections(self) -> None:
        """Close the connections of clients that do not read; uvicorn cancels their requests but keeps the sockets."""
        for connection in list(self.server_state.connections):
            connection.transport.abort()
        await asyncio.sleep(0)  # until the protocols have been notified
        if self.server_state.tasks:
            await asyncio.wait(self.server_state.tasks, timeout=0.5)
