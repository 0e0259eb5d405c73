"""The program behind a real host: a process that answers for itself over TCP on loopback.

Run by its path, with the standard library alone. It prints its port once it listens, and ends by any signal
that ends a process, or when its stdin does: so it learns that its parent is gone, be it by `kill -9`.

It is asked line by line: ``health`` is answered ``ok``; ``restart SECONDS`` is answered ``ok`` after so long.
"""

import os
import socket
import threading
import time

# A client that connects and then says nothing, or does not listen.
SILENT_S = 30.0


def main() -> None:
    threading.Thread(target=_end_with_parent, daemon=True).start()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        print(listener.getsockname()[1], flush=True)  # noqa: T201 - to its parent
        while True:
            connection, _ = listener.accept()
            threading.Thread(target=_answer, args=(connection,), daemon=True).start()


def _end_with_parent() -> None:
    while os.read(0, 1024):
        pass
    os._exit(0)


def _answer(connection: socket.socket) -> None:
    connection.settimeout(SILENT_S)
    try:
        with connection, connection.makefile("rw") as lines:
            for line in lines:
                match line.split():
                    case ["health"]:
                        pass
                    case ["restart", seconds]:
                        time.sleep(float(seconds))
                    case _:
                        return
                lines.write("ok\n")
                lines.flush()
    except OSError:
        pass  # the client went away


if __name__ == "__main__":
    main()
