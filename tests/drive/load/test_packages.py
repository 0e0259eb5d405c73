"""A package that the load driver will need is looked for before anything is started."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

HIDDEN = """
import sys
sys.modules[sys.argv.pop(1)] = None
from harness.commands.main import main
main()
"""
PROGRAM = f"""
[target]
kind = "program"
command = ["{sys.executable}", "-c", "open('started', 'w')"]
ready = {{ after_s = 1.0 }}
[load]
sender = "http"
url = "http://127.0.0.1:1/"
rate_per_s = 1
duration_s = 1
"""
SERVICE = """
[target]
kind = "mayhem"
broker = "{sender}://127.0.0.1:1"
[load]
sender = "{sender}"
rate_per_s = 1
duration_s = 1
"""


@pytest.mark.parametrize(
    ("sender", "package", "text"),
    [("http", "aiohttp", PROGRAM), ("nats", "nats", SERVICE), ("redis", "redis", SERVICE)],
)
def test_a_missing_package_is_named_before_the_start(
    tmp_path: Path, sender: str, package: str, text: str
) -> None:
    """Without the package of its sender a scenario is refused: 2, one error with the extra, no folder."""
    (tmp_path / "scenario.toml").write_text(text if sender == "http" else text.format(sender=sender))
    ended = subprocess.run(
        [sys.executable, "-c", HIDDEN, package, "run", "scenario.toml", "--out", "reports"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert ended.returncode == 2
    assert f'load.sender = "{sender}" needs the package {package}, which is not installed' in ended.stderr
    assert f"pip install 'asyncio-harness[{sender}]'" in ended.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["scenario.toml"]
