"""The server on the event loop of a program: start, request, stop."""

from __future__ import annotations

import asyncio
import signal
import socket

import httpx
import pytest
from fastapi import FastAPI

from eventbus.api import CannotListen, PortInUse, Server, create_app
from eventbus.catalog import Catalog
from eventbus.inprocess import InProcessBus
from tests.api.memory_store import MemoryStore


@pytest.fixture
def app(bus: InProcessBus) -> FastAPI:
    return create_app(store=MemoryStore(), bus=bus, catalog=Catalog.default(), version="1")


async def test_it_answers_when_start_returns_and_not_after_stop(app: FastAPI) -> None:
    """The server accepts connections once `start` has returned."""
    server = Server(app, port=0)
    await server.start()
    async with httpx.AsyncClient() as client:
        assert (await client.get(f"{server.url}/health")).status_code == 200
        assert server.connections == 1
        async with asyncio.timeout(3):
            await server.stop()
        with pytest.raises(httpx.ConnectError):
            await client.get(f"{server.url}/health")


async def test_a_port_in_use_is_a_typed_error_that_names_the_option(app: FastAPI) -> None:
    """The error names the option for another port."""
    async with Server(app, port=0) as first:
        with pytest.raises(PortInUse) as error:
            await Server(app, port=first.port, option="--http-port").start()
    assert str(error.value) == (
        f"cannot listen on 127.0.0.1:{first.port}: another program does already; choose another port with --http-port"
    )


async def test_an_address_that_is_not_ours_is_a_typed_error(app: FastAPI) -> None:
    """192.0.2.1 is reserved for documentation (RFC 5737): no machine has it."""
    with pytest.raises(CannotListen, match=r"cannot listen on 192\.0\.2\.1:0"):
        await Server(app, "192.0.2.1", 0).start()


async def test_signals_are_left_to_the_program(app: FastAPI) -> None:
    """Signals are left to the program."""
    before = signal.getsignal(signal.SIGINT)
    async with Server(app, port=0):
        assert signal.getsignal(signal.SIGINT) is before


async def test_stopping_a_server_that_does_not_run_is_allowed(app: FastAPI) -> None:
    """Stopping a server that does not run is allowed."""
    server = Server(app)
    await server.stop()
    assert repr(server) == "<Server http://127.0.0.1:3000, not running>"


@pytest.mark.skipif(not socket.has_ipv6, reason="needs IPv6")
def test_an_ipv6_address_stands_in_brackets(app: FastAPI) -> None:
    """RFC 3986 §3.2.2."""
    assert Server(app, "::1").url == "http://[::1]:3000"


async def test_answers_do_not_wait_for_acknowledgements(app: FastAPI) -> None:
    """With Nagle's algorithm, each response, a head and a body, would take 40 ms longer."""
    async with Server(app, port=0) as server, httpx.AsyncClient() as client:
        await client.get(f"{server.url}/health")
        (connection,) = server._uvicorn.server_state.connections  # the other end of the client's socket
        sock = connection.transport.get_extra_info("socket")
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
