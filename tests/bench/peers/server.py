"""`python server.py KIND LOOP MQTT_PORT TOPIC PORT`: fan messages out to WebSockets, each library at its best.

bare: one frame made once, `transport.write` for each client, nothing else: no queue, no bound, no account.
"""

import asyncio
import base64
import hashlib
import struct
import sys
from collections.abc import Callable
from typing import Any

from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion

KIND, LOOP, MQTT_PORT, TOPIC, PORT = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4], int(sys.argv[5])


def receive(take: Callable[[bytes], None]) -> None:
    """Call `take` in the running loop with each payload: paho in a thread, one wake-up of the loop a message."""
    loop = asyncio.get_running_loop()

    def on_connect(client: paho.Client, *_: Any) -> None:
        client.subscribe(TOPIC, 1)

    def on_message(_: paho.Client, __: Any, message: paho.MQTTMessage) -> None:
        loop.call_soon_threadsafe(take, bytes(message.payload))

    client = paho.Client(CallbackAPIVersion.VERSION2)
    client.on_connect = on_connect
    client.on_message = on_message
    client.connect("127.0.0.1", MQTT_PORT)
    client.loop_start()


def frame(payload: bytes) -> bytes:
    """A WebSocket frame of at least 126 bytes."""
    return struct.pack("!BBH", 0x82, 126, len(payload)) + payload


async def bare() -> None:
    transports: list[asyncio.Transport] = []

    class Client(asyncio.Protocol):
        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            self.transport = transport

        def data_received(self, data: bytes) -> None:
            key = data.split(b"Sec-WebSocket-Key: ")[1].split(b"\r\n")[0]
            digest = base64.b64encode(hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest())
            self.transport.write(
                b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                b"Sec-WebSocket-Accept: " + digest + b"\r\n\r\n"
            )
            transports.append(self.transport)

    def take(payload: bytes) -> None:
        wire = frame(payload)
        for transport in transports:
            transport.write(wire)

    await asyncio.get_running_loop().create_server(Client, "127.0.0.1", PORT)
    receive(take)


async def aiohttp_server() -> None:
    from aiohttp import web

    sockets: list[web.WebSocketResponse] = []
    sending: asyncio.Queue[bytes] = asyncio.Queue()

    async def live(request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(compress=False)
        await socket.prepare(request)
        sockets.append(socket)
        async for _ in socket:
            pass
        return socket

    async def send() -> None:
        while True:
            payload = await sending.get()
            for socket in sockets:
                await socket.send_bytes(payload)

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
        connections.add(connection)
        await connection.wait_closed()

    await serve(live, "127.0.0.1", PORT, compression=None).__aenter__()
    receive(lambda payload: broadcast(connections, payload))


async def picows_server() -> None:
    import picows  # type: ignore[import-not-found]

    transports: list[picows.WSTransport] = []

    class Client(picows.WSListener):  # type: ignore[misc]
        def on_ws_connected(self, transport: picows.WSTransport) -> None:
            transports.append(transport)

    def take(payload: bytes) -> None:
        for transport in transports:
            transport.send(picows.WSMsgType.BINARY, payload)

    await picows.ws_create_server(lambda _: Client(), "127.0.0.1", PORT)
    receive(take)


SERVERS = {"bare": bare, "aiohttp": aiohttp_server, "websockets": websockets_server, "picows": picows_server}


async def main() -> None:
    await SERVERS[KIND]()
    await asyncio.Event().wait()


if LOOP == "uvloop":
    import uvloop

    uvloop.run(main())
else:
    asyncio.run(main())
