"""Who waited for a socket that became ready during a block: named, with a bound and not a measured wait."""

from __future__ import annotations

from pathlib import Path

from tests.support.watched import watched

# A server whose loop blocks while its clients write, connect, or do nothing; one thread is all of them.
SERVER = """
    import asyncio, socket, threading, time

    async def serve(reader, writer):
        asyncio.current_task().set_name("connection " + (await reader.readline()).decode().strip())
        await reader.readline()
        writer.close()

    async def raw(peer):
        await asyncio.get_running_loop().sock_recv(peer, 1)

    def clients(port, left, blocking, over):
        loud, quiet = (socket.create_connection(("127.0.0.1", port)) for _ in range(2))
        loud.sendall(b"loud\\n")
        quiet.sendall(b"quiet\\n")
        blocking.wait()
        loud.sendall(b"again\\n")
        left.send(b"x")
        late = socket.create_connection(("127.0.0.1", port))
        late.sendall(b"late\\n\\n")
        over.wait()
        for client in (loud, quiet, late):
            client.close()

    async def main():
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        left, right = socket.socketpair()
        right.setblocking(False)
        receiving = asyncio.create_task(raw(right), name="receiver")
        blocking, over = threading.Event(), threading.Event()
        port = server.sockets[0].getsockname()[1]
        thread = threading.Thread(target=clients, args=(port, left, blocking, over))
        thread.start()
        while not {"connection loud", "connection quiet"} <= {t.get_name() for t in asyncio.all_tasks()}:
            await asyncio.sleep(0.01)
        blocking.set()
        time.sleep(0.3)
        await receiving
        over.set()
        await asyncio.to_thread(thread.join)
        server.close()

    asyncio.run(main())
"""


def test_who_waited_for_a_socket_is_named_with_a_bound(tmp_path: Path) -> None:
    """Of what arrived during a block it is known that it waited no longer than the block; who got nothing is
    no victim."""
    seen = watched(SERVER, tmp_path)

    assert seen.status == 0, seen.stderr
    (block,) = seen.blocks
    waited = {victim.label: victim for victim in block.victims}
    assert {"connection loud", "receiver", "a new connection"} <= waited.keys()
    assert "connection quiet" not in waited
    assert all(waited[who].at_most for who in ("connection loud", "receiver", "a new connection"))
    assert 0 < waited["connection loud"].delayed_ns <= block.held_ns
