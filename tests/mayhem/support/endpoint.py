"""Asks the service's HTTP endpoint."""

from __future__ import annotations

import re
import subprocess
import urllib.error
import urllib.request

from tests.mayhem.support.service_process import PATIENCE_S


def port_of(process: subprocess.Popen[str]) -> int:
    """The port the service says it answers on; reads its stderr up to that line."""
    assert process.stderr is not None
    for line in process.stderr:
        if found := re.search(r"answering over HTTP port=(\d+)", line):
            return int(found[1])
    raise AssertionError("it answers nowhere")


def get(port: int, path: str) -> tuple[int, str]:
    """The status and the body."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=PATIENCE_S) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()
