"""A service nobody prepared: it answers lines over TCP on loopback, and prints its port.

``python lines.py asyncio | uvloop | thread``; *thread* runs its loop in a thread that is not the main one.
The line ``block`` holds the loop for 150 ms.
"""

import asyncio
import sys
import threading
import time

BLOCK_S = 0.15


def hold() -> None:
    time.sleep(BLOCK_S)


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while line := await reader.readline():
        if line == b"block\n":
            hold()
        writer.write(line)
    writer.close()


async def serve() -> None:
    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        print(server.sockets[0].getsockname()[1], flush=True)
        await server.serve_forever()


if __name__ == "__main__":
    match sys.argv[1]:
        case "asyncio":
            asyncio.run(serve())
        case "uvloop":
            import uvloop

            uvloop.run(serve())
        case "thread":
            thread = threading.Thread(target=asyncio.run, args=(serve(),))
            thread.start()
            thread.join()
