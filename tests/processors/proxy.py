"""A line to PostgreSQL that goes dead at the worst moment."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path
from urllib.parse import parse_qs, quote, urlsplit


class Proxy:
    """A PostgreSQL address between a client and the server, that can cut the line when it hears a word.

    Args:
        dsn: of the server.
        folder: for its socket.
    """

    def __init__(self, dsn: str, folder: Path) -> None:
        self._server_socket = f"{parse_qs(urlsplit(dsn).query)['host'][0]}/.s.PGSQL.5432"
        self._folder = folder
        self.dsn = f"{dsn.partition('?')[0]}?host={quote(str(folder), safe='')}"
        self._lines: set[asyncio.Task[None]] = set()
        self.cut_after: bytes | None = None
        """Forward what has this word, wait for the server's answer, and cut the line instead of passing it on."""
        self.cut_next = 0
        """How many lines to cut, after that one, before anything is said on them."""

    async def __aenter__(self) -> Proxy:
        self._server = await asyncio.start_unix_server(self._serve, self._folder / ".s.PGSQL.5432")
        return self

    async def __aexit__(self, *exc: object) -> None:
        self._server.close()
        await self._server.wait_closed()
        for line in self._lines:
            line.cancel()
        await asyncio.gather(*self._lines, return_exceptions=True)
        await asyncio.sleep(0)  # aborted lines close in the next turn of the loop

    async def _serve(self, client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        line = asyncio.current_task()
        assert line is not None
        self._lines.add(line)
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
