"""Serves ``/metrics`` and the judgements of `health.py` from threads, even while the loop is blocked.

The only module that needs `prometheus-client` (``pip install 'asyncio-harness[metrics]'``).
"""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.sdk.metrics.export import MetricReader
from prometheus_client import REGISTRY
from prometheus_client.exposition import choose_encoder

from ..errors import SettingsError
from .health import Judgement
from .listen_address import ListenAddress

log = logging.getLogger(__name__)

# Time-out for a client that connects and sends nothing.
SILENT_S = 5.0
# Poll interval of the shutdown check; bounds how long shutdown waits.
POLL_S = 0.1

View = Callable[[], Judgement]


def prometheus() -> MetricReader:
    """A metric reader whose metrics appear under ``/metrics``, along with the process's own."""
    return PrometheusMetricReader()


@contextmanager
def serve_http(address: ListenAddress, views: Mapping[str, View]) -> Iterator[int]:
    """Serve at *address* while the block runs; yields the port.

    Args:
        views: The judgement to serve at each path, with status 200 if nothing is wrong, else 503.

    Raises:
        SettingsError: The address is not available.
    """
    handler = type("Handler", (_Handler,), {"views": views})
    try:
        server = _Server(address, handler)
    except OSError as exc:
        raise SettingsError(f"http: {address.host}:{address.port}: {exc.strerror or exc}") from None
    serving = threading.Thread(target=server.serve_forever, args=(POLL_S,), name="mayhem-http", daemon=True)
    serving.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
        serving.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    # Otherwise shutdown would wait for clients that keep their connections open.
    block_on_close = False


class _Handler(BaseHTTPRequestHandler):
    views: Mapping[str, View]
    timeout = SILENT_S

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if path == "/metrics":
            encode, kind = choose_encoder(self.headers.get("Accept", ""))
            self._answer(200, kind, encode(REGISTRY))
        elif (view := self.views.get(path)) is not None:
            judgement = view()
            body = json.dumps(judgement.to_json()).encode() + b"\n"
            self._answer(503 if judgement.wrong else 200, "application/json", body)
        else:
            paths = " ".join(("/metrics", *self.views))
            self._answer(404, "text/plain", f"not found; paths: {paths}\n".encode())

    def _answer(self, status: int, kind: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, form: str, *args: object) -> None:
        log.debug("HTTP request", extra={"request": form % args})
