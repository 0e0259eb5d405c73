"""gRPC's server for asyncio; it reads its sockets in threads of its own."""

import asyncio
import json
import signal
import sys

import grpc
import shop


async def ok(request, context):
    return json.dumps(shop.ok()).encode()


async def block(request, context):
    return json.dumps(shop.block()).encode()


async def main():
    server = grpc.aio.server()
    handlers = {"ok": ok, "block": block}
    methods = {name: grpc.unary_unary_rpc_method_handler(handler) for name, handler in handlers.items()}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("shop", methods),))
    server.add_insecure_port(f"127.0.0.1:{sys.argv[1]}")
    await server.start()
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    shop.ready()
    await stopping.wait()
    await server.stop(grace=1)
    print("stopped")


if sys.argv[2] == "uvloop":
    import uvloop

    uvloop.run(main())
else:
    asyncio.run(main())
