"""The command of test replicas that speak WebSocket and notice when a client leaves."""

import asyncio
import os

from aiohttp import web

left = asyncio.Event()


async def health(_request):
    return web.Response(text="ok")


async def about(_request):
    return web.json_response({"replica": os.environ["CONTAINER_APP_REPLICA_NAME"]})


async def hold(_request):
    try:
        await asyncio.sleep(60)
    except asyncio.CancelledError:
        left.set()
        raise
    return web.Response(text="held")


async def has_left(_request):
    async with asyncio.timeout(20):
        await left.wait()
    return web.Response(text="left")


async def echo(request):
    socket = web.WebSocketResponse(protocols=("chat",))
    await socket.prepare(request)
    async for message in socket:
        if message.data == "bye":
            await socket.close(code=4001)
        elif message.type is web.WSMsgType.TEXT:
            await socket.send_str(f"{message.data} from {request.headers['X-Forwarded-Host']}")
        else:
            await socket.send_bytes(message.data[::-1])
    return socket


app = web.Application()
app.add_routes(
    [
        web.get("/health", health),
        web.get("/about", about),
        web.get("/hold", hold),
        web.get("/has-left", has_left),
        web.get("/echo", echo),
    ]
)
runner = {"host": "127.0.0.1", "port": int(os.environ["CONTAINER_APP_PORT"]), "print": None}
web.run_app(app, handler_cancellation=True, **runner)
