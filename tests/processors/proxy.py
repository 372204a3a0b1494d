"""A proxy that cuts a connection to PostgreSQL at a chosen moment."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path
from urllib.parse import parse_qs, quote, urlsplit


class Proxy:
    """Forwards connections to a PostgreSQL server, and cuts them when a message contains a given word.

    Args:
        dsn: URL of the server.
        folder: for the proxy's socket.
    """

    def __init__(self, dsn: str, folder: Path) -> None:
        self._server_socket = f"{parse_qs(urlsplit(dsn).query)['host'][0]}/.s.PGSQL.5432"
        self._folder = folder
        self.dsn = f"{dsn.partition('?')[0]}?host={quote(str(folder), safe='')}"
        self._connections: set[asyncio.Task[None]] = set()
        self.cut_after: bytes | None = None
        """Forward the message with this word, await the answer, and cut the connection instead of returning it."""
        self.cut_next = 0
        """Number of further connections to cut as soon as they are opened."""

    async def __aenter__(self) -> Proxy:
        self._server = await asyncio.start_unix_server(self._serve, self._folder / ".s.PGSQL.5432")
        return self

    async def __aexit__(self, *exc: object) -> None:
        self._server.close()
        await self._server.wait_closed()
        for connection in self._connections:
            connection.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)
        await asyncio.sleep(0)  # aborted connections close in the next iteration of the event loop

    async def _serve(self, client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        connection = asyncio.current_task()
        assert connection is not None
        self._connections.add(connection)
        if self.cut_next and self.cut_after is None:
            self.cut_next -= 1
            to_client.transport.abort()
            return
        server, to_server = await asyncio.open_unix_connection(self._server_socket)
        cut = asyncio.Event()
        try:
            with suppress(OSError):
                await asyncio.gather(self._upwards(client, to_server, cut), self._downwards(server, to_client, cut))
        finally:
            for end in (to_client, to_server):
                end.transport.abort()

    async def _upwards(self, client: asyncio.StreamReader, to_server: asyncio.StreamWriter, cut: asyncio.Event) -> None:
        while data := await client.read(65536):
            if self.cut_after and self.cut_after in data:
                self.cut_after = None
                cut.set()
            to_server.write(data)
        to_server.close()

    async def _downwards(
        self, server: asyncio.StreamReader, to_client: asyncio.StreamWriter, cut: asyncio.Event
    ) -> None:
        while (data := await server.read(65536)) and not cut.is_set():
            to_client.write(data)
        to_client.transport.abort()
