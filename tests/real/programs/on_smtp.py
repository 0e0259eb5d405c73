"""aiosmtpd; its loop runs in a thread, and the main thread waits for a signal."""

import asyncio
import json
import signal
import sys

import shop
from aiosmtpd.controller import Controller


class Shop:
    async def handle_VRFY(self, server, session, envelope, address):
        return f"252 {json.dumps(shop.ANSWERS[address]())}"


if sys.argv[2] == "uvloop":
    import uvloop

    loop = uvloop.new_event_loop()
else:
    loop = asyncio.new_event_loop()
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
controller = Controller(
    Shop(), hostname="127.0.0.1", port=int(sys.argv[1]), loop=loop, server_hostname="shop"
)
controller.start()
shop.ready()
signal.sigwait({signal.SIGTERM, signal.SIGINT})
controller.stop()
print("stopped")
