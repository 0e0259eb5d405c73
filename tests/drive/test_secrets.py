"""No secret of a scenario is in any file of its run."""

from __future__ import annotations

import sys
from pathlib import Path
from textwrap import dedent

import pytest

from harness.errors import ScenarioError
from harness.record import scenario as scenarios
from tests.support.commanded import harness, scenario
from tests.support.port import free_port

# Answers 200 to who knows the token, and 401 to others; its own secrets are in its command and environment.
SERVER = """
    import asyncio, os, sys

    async def serve(reader, writer):
        asked = await reader.readuntil(b"\\r\\n\\r\\n")
        known = b"Bearer environment-token" in asked and b"literal-key" in asked
        status = b"200 OK" if known and os.environ["DB_PASSWORD"] == "environment-pass" else b"401 No"
        writer.write(b"HTTP/1.1 " + status + b"\\r\\ncontent-length: 0\\r\\nconnection: close\\r\\n\\r\\n")
        writer.close()

    async def main():
        server = await asyncio.start_server(serve, "127.0.0.1", int(sys.argv[1]))
        print("ready", flush=True)
        await server.serve_forever()

    asyncio.run(main())
"""
SECRETS = (
    "environment-token",
    "environment-pass",
    "literal-key",
    "literal-query",
    "literal-option",
    "positional",
)


@pytest.mark.slow
def test_no_secret_is_in_any_file_of_a_run(tmp_path: Path) -> None:
    """Whether it came from the environment, a header, a URL or a command line; the target received each."""
    port = free_port()
    (tmp_path / "server.py").write_text(dedent(SERVER))
    path = scenario(
        tmp_path,
        f"""
        [target]
        kind = "program"
        command = [{sys.executable!r}, "server.py", "{port}", "--api-key", "literal-option", "${{PLACE}}"]
        env = {{ DB_PASSWORD = "${{DB}}" }}
        ready = {{ log = "ready" }}
        stop_signal = "SIGINT"
        [load]
        sender = "http"
        url = "http://127.0.0.1:{port}/?access_token=literal-query"
        headers = {{ authorization = "Bearer ${{API_TOKEN}}", x-api-key = "literal-key" }}
        rate_per_s = 20
        duration_s = 0.5
        max_late_ms = 5000
        [expect]
        "load.failed" = "== 0"
        """,
    )
    environment = {"API_TOKEN": "environment-token", "DB": "environment-pass", "PLACE": "positional"}
    ended = harness("run", path, cwd=tmp_path, env=environment)
    files = {path.name: path.read_text("latin-1") for path in ended.folder.path.rglob("*") if path.is_file()}

    assert ended.status == 0, ended.stderr + ended.stdout
    leaks = [(name, secret) for name, text in files.items() for secret in SECRETS if secret in text]
    assert leaks == []
    assert '"authorization": "Bearer ${API_TOKEN}"' in files["run.json"]


def test_a_variable_that_is_not_set_is_an_error_of_the_scenario(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the line, the key and the way to write such a text; nothing is started."""
    monkeypatch.delenv("NO_SUCH_VARIABLE", raising=False)
    path = scenario(
        tmp_path,
        """
        [target]
        kind = "program"
        command = ["prog", "${NO_SUCH_VARIABLE}", "$${KEPT}"]
        """,
    )

    with pytest.raises(ScenarioError) as refused:
        scenarios.load(path)

    assert str(refused.value) == (
        f"{path}:4: target.command.1: the environment variable NO_SUCH_VARIABLE is not set"
    )
    assert refused.value.__notes__ == ["Set it, or write $${NO_SUCH_VARIABLE} for the text itself."]
    monkeypatch.setenv("NO_SUCH_VARIABLE", "now-it-is")
    loaded = scenarios.load(path)
    assert isinstance(loaded.target, scenarios.ProgramTarget)
    assert loaded.target.command == ("prog", "now-it-is", "${KEPT}")
    assert loaded.public()["target"]["command"] == ["prog", "${NO_SUCH_VARIABLE}", "$${KEPT}"]
