"""The program of a process host: a server on loopback.

It is run by its path and uses only the standard library. It prints its port once it listens. It ends on a
signal, or when its stdin is closed, which happens even if its parent is killed by SIGKILL.

Requests are lines: ``health`` is answered ``ok``, and ``restart SECONDS`` is answered ``ok`` after that time.
"""

import os
import socket
import threading
import time

# Time-out for a client that sends or reads nothing.
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
