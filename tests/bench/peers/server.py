"""`python server.py KIND LOOP SOURCE_PORT TOPIC PORT [as-it-is]`: each library fans out to WebSockets at its best.

bare: one frame made once, `transport.write` for each client, nothing else: no queue, no bound, no account.
floor: the same without MQTT: the messages come by plain TCP, each after its length.
"""

import asyncio
import base64
import contextlib
import hashlib
import socket
import struct
import sys
from collections.abc import Callable
from typing import Any

from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion

KIND, LOOP, SOURCE_PORT, TOPIC, PORT = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4], int(sys.argv[5])
IDLE = "stream=bench/idle"
"""In the path of clients that get nothing."""
AS_IT_IS = "as-it-is" in sys.argv
"""With the keep-alive that the library has on its own, which cuts off clients that do not answer."""


def receive(take: Callable[[bytes], None]) -> None:
    """Call `take` with each payload; paho's network work is done by the loop, which is its cheapest way."""
    loop = asyncio.get_running_loop()

    def on_connect(client: paho.Client, *_: Any) -> None:
        client.subscribe(TOPIC, 1)

    def read() -> None:
        client.loop_read()
        if client.want_write():
            client.loop_write()

    def look_after() -> None:
        client.loop_misc()
        loop.call_later(1, look_after)

    client = paho.Client(CallbackAPIVersion.VERSION2)
    client.on_connect = on_connect
    client.on_message = lambda _, __, message: take(bytes(message.payload))
    client.connect("127.0.0.1", SOURCE_PORT)
    connected = client.socket()
    assert isinstance(connected, socket.socket)
    connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    loop.add_reader(connected.fileno(), read)
    look_after()


class Source(asyncio.Protocol):
    """Messages by plain TCP, each after its length."""

    def __init__(self, take: Callable[[bytes], None]) -> None:
        self._take = take
        self._buffer = b""

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while len(self._buffer) >= 4 and len(self._buffer) >= (end := 4 + int.from_bytes(self._buffer[:4], "big")):
            self._take(self._buffer[4:end])
            self._buffer = self._buffer[end:]


def frame(payload: bytes) -> bytes:
    """A WebSocket frame of at least 126 bytes."""
    return struct.pack("!BBH", 0x82, 126, len(payload)) + payload


async def bare() -> None:
    receive(await writer())


async def floor() -> None:
    take = await writer()
    await asyncio.get_running_loop().create_server(lambda: Source(take), "127.0.0.1", SOURCE_PORT)


async def writer() -> Callable[[bytes], None]:
    """The bare writer's server, and what sends a payload to its clients."""
    transports: list[asyncio.Transport] = []

    class Client(asyncio.Protocol):
        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            self.transport = transport

        def data_received(self, data: bytes) -> None:
            if b"Sec-WebSocket-Key: " not in data:
                return  # a pong
            key = data.split(b"Sec-WebSocket-Key: ")[1].split(b"\r\n")[0]
            digest = base64.b64encode(hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest())
            self.transport.write(
                b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                b"Sec-WebSocket-Accept: " + digest + b"\r\n\r\n"
            )
            if IDLE not in data.decode():
                transports.append(self.transport)

        def connection_lost(self, exc: Exception | None) -> None:
            if self.transport in transports:
                transports.remove(self.transport)

    def take(payload: bytes) -> None:
        wire = frame(payload)
        for transport in transports:
            transport.write(wire)

    await asyncio.get_running_loop().create_server(Client, "127.0.0.1", PORT)
    return take


async def aiohttp_server() -> None:
    from aiohttp import web

    clients: list[web.WebSocketResponse] = []
    sending: asyncio.Queue[bytes] = asyncio.Queue()

    async def live(request: web.Request) -> web.WebSocketResponse:
        client = web.WebSocketResponse(compress=False)
        await client.prepare(request)
        if IDLE not in str(request.rel_url):
            clients.append(client)
        async for _ in client:
            pass
        if client in clients:
            clients.remove(client)
        return client

    async def send() -> None:
        while True:
            payload = await sending.get()
            for client in tuple(clients):
                with contextlib.suppress(ConnectionError):
                    await client.send_bytes(payload)

    application = web.Application()
    application.router.add_get("/api/v1/live", live)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", PORT).start()
    receive(sending.put_nowait)
    await send()


async def websockets_server() -> None:
    from websockets.asyncio.server import ServerConnection, broadcast, serve

    connections: set[ServerConnection] = set()

    async def live(connection: ServerConnection) -> None:
        if connection.request is not None and IDLE not in connection.request.path:
            connections.add(connection)
        await connection.wait_closed()
        connections.discard(connection)

    pings = 20 if AS_IT_IS else None
    await serve(live, "127.0.0.1", PORT, compression=None, ping_interval=pings).__aenter__()
    receive(lambda payload: broadcast(connections, payload))


async def picows_server() -> None:
    import picows  # type: ignore[import-not-found]

    transports: list[picows.WSTransport] = []

    class Client(picows.WSListener):  # type: ignore[misc]
        def __init__(self, request: picows.WSUpgradeRequest) -> None:
            super().__init__()
            self.idle = IDLE.encode() in request.path

        def on_ws_connected(self, transport: picows.WSTransport) -> None:
            if not self.idle:
                transports.append(transport)

        def on_ws_disconnected(self, transport: picows.WSTransport) -> None:
            if transport in transports:
                transports.remove(transport)

    def take(payload: bytes) -> None:
        for transport in transports:
            transport.send(picows.WSMsgType.BINARY, payload)

    await picows.ws_create_server(Client, "127.0.0.1", PORT)
    receive(take)


SERVERS = {
    "bare": bare,
    "floor": floor,
    "aiohttp": aiohttp_server,
    "websockets": websockets_server,
    "picows": picows_server,
}


async def main() -> None:
    await SERVERS[KIND]()
    await asyncio.Event().wait()


if LOOP == "uvloop":
    import uvloop

    uvloop.run(main())
else:
    asyncio.run(main())
