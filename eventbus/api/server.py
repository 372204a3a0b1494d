"""A uvicorn server inside a loop that is running already: started and stopped like any other part of a program."""

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
        app: made by `create_app`.
        host: name or address to listen on.
        port: 0 takes a free one; `port` says which after the start.
        option: how the user would choose another port: named in the error when this one is taken.
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
                ws_per_message_deflate=False,  # would compress each frame for each client anew
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
        """Clients connected now, of any kind."""
        return len(self._uvicorn.server_state.connections)

    async def start(self) -> None:
        """Listen; the port answers when this returns.

        Raises:
            PortInUse: another program has the port.
            CannotListen: the address cannot be had for another reason.
        """
        listener = self._listen()
        self.port = listener.getsockname()[1]
        self._serving = asyncio.create_task(self._uvicorn.serve([listener]), name="http-server")
        await self._uvicorn.listening.wait()

    async def stop(self) -> None:
        """End open streams with their last message, finish the requests in work, and close: within three seconds."""
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
        # The protocol is named, or asyncio would not set TCP_NODELAY on connections, and each answer, being a head and
        # a body, would wait 40 ms for the client's acknowledgement of the head.
        listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        try:
            if os.name == "posix":  # elsewhere it would let two programs have one port
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
    """Leaves signals to the program, and says when it listens."""

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
        """Drop clients that do not read: uvicorn has cancelled their requests, but would keep their sockets."""
        for connection in list(self.server_state.connections):
            connection.transport.abort()
        await asyncio.sleep(0)  # until they have heard of it
        if self.server_state.tasks:
            await asyncio.wait(self.server_state.tasks, timeout=0.5)
