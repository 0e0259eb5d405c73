"""ASGI without a framework, for servers that bring none."""

import json

import shop


async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        await receive()
        shop.ready()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})
        return
    body = json.dumps(shop.ANSWERS[scope["path"].lstrip("/")]()).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})
