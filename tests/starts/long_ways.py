"""The ways that need packages or programs beyond those of the tests; see `__main__.py`."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.starts.ways import APP, Way

# Environments by the variable that a line names, with what is installed there.
ENVIRONMENTS = {
    "WEB": "uvicorn gunicorn hypercorn granian uvicorn-worker fastapi starlette uvloop trio httptools",
    "FRAMES": "gevent trio curio twisted eventlet anyio",
    "APM": "opentelemetry-distro opentelemetry-instrumentation-asyncio ddtrace newrelic",
    "TOOLS": "coverage pytest pytest-asyncio tox nox pex shiv supervisor honcho pyinstaller tornado circus",
}

FILES = {
    "asgi.py": """
import app
async def service(scope, receive, send):
    assert scope["type"] == "lifespan"
    while True:
        message = await receive()
        if message["type"] == "lifespan.startup": app.hold()
        await send({"type": message["type"] + ".complete"})
        if message["type"] == "lifespan.shutdown": return
""",
    "wsgi.py": "def service(environ, start): start('200 OK', []); return [b'']\n",
    "rsgi.py": "import app\nclass Service:\n    def __rsgi_init__(self, loop): loop.call_soon(app.hold)\n    def __rsgi_del__(self, loop): pass\n    async def __rsgi__(self, scope, protocol): protocol.response_empty(200, [])\nservice = Service()\n",
    "in_trio.py": "import trio\nasync def main(): await trio.sleep(0.2)\ntrio.run(main)\nprint('done')\n",
    "any_trio.py": "import anyio\nasync def main(): await anyio.sleep(0.2)\nanyio.run(main, backend='trio')\nprint('done')\n",
    "any_asyncio.py": "import anyio, app\nanyio.run(app.main)\nprint('done')\n",
    "imports_trio.py": "import trio, app\napp.run()\n",
    "in_curio.py": "import curio\nasync def main(): await curio.sleep(0.2)\ncurio.run(main)\nprint('done')\n",
    "in_gevent.py": "from gevent import monkey; monkey.patch_all()\nimport gevent\ngevent.spawn(gevent.sleep, 0.2).join()\nprint('done')\n",
    "in_eventlet.py": "import eventlet\neventlet.spawn(eventlet.sleep, 0.2).wait()\nprint('done')\n",
    "in_twisted.py": "from twisted.internet import reactor\nreactor.callLater(0.2, reactor.stop)\nreactor.run()\nprint('done')\n",
    "twisted_asyncio.py": (
        "from twisted.internet import asyncioreactor; asyncioreactor.install()\nimport app\n"
        "from twisted.internet import reactor\nreactor.callLater(0.05, app.hold)\n"
        "reactor.callLater(0.3, reactor.stop)\nreactor.run()\nprint('done')\n"
    ),
    "in_tornado.py": "import app, tornado.ioloop\ntornado.ioloop.IOLoop.current().run_sync(app.main)\nprint('done')\n",
    "outliving.py": (
        "import os, subprocess, sys\n"
        "subprocess.Popen([sys.executable, *sys.argv[1:]], start_new_session=True,\n"
        "                 stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)\n"
        "print('done')\n"
    ),
    "lasting.py": APP.replace("sleep(0.02)\ndef run", "sleep(4)\ndef run"),
    "tox.ini": "[tox]\nno_package = true\n[testenv]\ncommands = python {toxinidir}/app.py {posargs}\n",
    "noxfile.py": "import nox\n@nox.session(venv_backend='none')\ndef run(session): session.run('python', 'app.py', *session.posargs)\n",
    "supervisord.conf": (
        "[supervisord]\nnodaemon=true\nlogfile=/dev/null\nlogfile_maxbytes=0\nuser=root\n"
        "[program:app]\ncommand=%(ENV_PY)s lasting.py\n"
    ),
    "Procfile": "web: $PY app.py\n",
    "embedded.c": (
        "#include <Python.h>\n"
        "int main(int argc, char **argv) { PyConfig c; int i = argc > 2;\n"
        " if (i) PyConfig_InitIsolatedConfig(&c); else PyConfig_InitPythonConfig(&c);\n"
        " Py_InitializeFromConfig(&c); int r = PyRun_SimpleString(\"import sys; sys.path.insert(0, '.')\\nimport app; app.run()\");\n"
        " Py_FinalizeEx(); return r; }\n"
    ),
    "plain.c": "#include <unistd.h>\nint main() { usleep(200000); return 0; }\n",
}


@dataclass(frozen=True)
class Server(Way):
    """A way that runs until it is asked to end."""

    marked: bool = False


OWN = "its event loop was {}'s own"

LONG_WAYS = (
    Server("uvicorn", "exec $WEB/uvicorn asgi:service --port 0"),
    Server("uvicorn-asyncio", "exec $WEB/uvicorn asgi:service --port 0 --loop asyncio"),
    Server("uvicorn-workers", "exec $WEB/uvicorn asgi:service --port 0 --workers 2"),
    Server("uvicorn-reload", "exec $WEB/uvicorn asgi:service --port 0 --reload"),
    Server("fastapi-run", "exec $WEB/python -m uvicorn asgi:service --port 0 --no-access-log"),
    Server(
        "gunicorn-uvicorn",
        "exec $WEB/gunicorn -k uvicorn_worker.UvicornWorker -w 2 -b 127.0.0.1:0 asgi:service",
    ),
    Server(
        "gunicorn-preload",
        "exec $WEB/gunicorn --preload -k uvicorn_worker.UvicornWorker -b 127.0.0.1:0 asgi:service",
    ),
    Server(
        "gunicorn-user",
        "exec $WEB/gunicorn --user 65534 --group 65534 -k uvicorn_worker.UvicornWorker -b 127.0.0.1:0 asgi:service",
    ),
    Server(
        "gunicorn-sync",
        "exec $WEB/gunicorn --no-control-socket -b 127.0.0.1:0 wsgi:service",
        "no event loop ran in it",
    ),
    Server(
        "gunicorn-gthread",
        "exec $WEB/gunicorn --no-control-socket -k gthread -b 127.0.0.1:0 wsgi:service",
        "no event loop ran in it",
    ),
    Server(
        "gunicorn-gevent",
        "PYTHONPATH=$PYTHONPATH:$FRAMES_SITE exec $WEB/gunicorn --no-control-socket -k gevent -b 127.0.0.1:0 wsgi:service",
        OWN.format("gevent"),
    ),
    Server("hypercorn", "exec $WEB/hypercorn -b 127.0.0.1:0 asgi:service"),
    Server("hypercorn-workers", "exec $WEB/hypercorn -w 2 -b 127.0.0.1:0 asgi:service"),
    Server("hypercorn-uvloop", "exec $WEB/hypercorn -k uvloop -b 127.0.0.1:0 asgi:service"),
    Server("hypercorn-trio", "exec $WEB/hypercorn -k trio -b 127.0.0.1:0 asgi:service", OWN.format("trio")),
    Server("granian", "exec $WEB/granian --interface rsgi --port 0 rsgi:service"),
    Server(
        "granian-workers",
        "exec $WEB/granian --interface rsgi --port 0 --workers 2 --loop asyncio rsgi:service",
    ),
    Server("supervisord", "exec $TOOLS/supervisord -c supervisord.conf"),
    Way("trio", "$FRAMES/python in_trio.py", OWN.format("trio")),
    Way("anyio-trio", "$FRAMES/python any_trio.py", OWN.format("trio")),
    Way("anyio-asyncio", "$FRAMES/python any_asyncio.py"),
    Way("imports-trio", "$FRAMES/python imports_trio.py"),
    Way("curio", "$FRAMES/python in_curio.py", OWN.format("curio")),
    Way("gevent", "$FRAMES/python in_gevent.py", OWN.format("gevent")),
    Way("eventlet", "$FRAMES/python in_eventlet.py", OWN.format("eventlet")),
    Way("twisted", "$FRAMES/python in_twisted.py", OWN.format("Twisted")),
    Way("twisted-asyncio", "$FRAMES/python twisted_asyncio.py"),
    Way("tornado", "$TOOLS/python in_tornado.py"),
    Way("opentelemetry", "$APM/opentelemetry-instrument $APM/python app.py"),
    Way("opentelemetry-isolated", "$APM/opentelemetry-instrument $APM/python -I app.py", r"-I \(isolated"),
    Way("ddtrace", "DD_TRACE_ENABLED=false $APM/ddtrace-run $APM/python app.py"),
    Way("newrelic", "NEW_RELIC_CONFIG_FILE=/dev/null $APM/newrelic-admin run-program $APM/python app.py"),
    Way("opentelemetry-ddtrace", "$APM/opentelemetry-instrument $APM/ddtrace-run $APM/python app.py"),
    Way("coverage", "$TOOLS/coverage run app.py"),
    Way("coverage-children", "$TOOLS/coverage run many.py spawn"),
    Way("pytest-asyncio", "$TOOLS/pytest -q -p no:cacheprovider test_case.py -k 'test_it or {name}'"),
    Way("tox", "$TOOLS/tox -q -e py --", "tox did not pass"),
    Way("nox", "$TOOLS/nox -R --"),
    Way("pex", "$TOOLS/python app.pex", "PEX started it with -"),
    Way("shiv", "$TOOLS/shiv -q -e app:run -o app.shiv ./package; $TOOLS/python app.shiv"),
    Way("pyinstaller", "frozen/app/app", "frozen by PyInstaller"),
    Way("honcho", "$TOOLS/honcho start # {name}"),
    Way("outliving", "$PY outliving.py lasting.py", "outlived the run"),
    Way("outliving-isolated", "$PY outliving.py -I lasting.py", r"-I .*; it outlived the run"),
    Way("python-2", "$PYTHON2 -c 'print(\"done\")'", "the probe needs 3.11"),
    Way("python-3.6", "$PYTHON36 app.py", "the probe needs 3.11"),
    Way("python-3.12", "$PYTHON312 app.py"),
    Way("python-3.13", "$PYTHON313 app.py"),
    Way("debian-python", "/usr/bin/python3 app.py"),
    Way("embedded", "./embedded"),
    Way("embedded-isolated", "./embedded {name} isolated", "its Python is built into embedded"),
    Way("c-program", "./plain", "not a Python program"),
    Way("node", "node -e 'setTimeout(() => {}, 200)'", "not a Python program"),
    Way("perl", "perl -e 'sleep 1'", "not a Python program"),
    Way("ls", "ls app.py", "not a Python program"),
)


def prepare(folder: Path, environments: dict[str, str]) -> None:
    """Write the files, and build what has to be compiled or frozen."""
    for name, text in FILES.items():
        (folder / name).write_text(text)
    package = folder / "package"
    package.mkdir()
    (package / "app.py").write_text((folder / "app.py").read_text())
    (package / "setup.py").write_text("from setuptools import setup\nsetup(name='app', py_modules=['app'])\n")
    packing = [f"{environments['TOOLS']}/pex", "-D", "package", "-e", "app:run", "-o", "app.pex"]
    subprocess.run(packing, cwd=folder, check=False, capture_output=True)
    flags = subprocess.run(
        ["/usr/bin/python3-config", "--cflags", "--ldflags", "--embed"], capture_output=True, text=True
    ).stdout.split()
    subprocess.run(["gcc", "embedded.c", "-o", "embedded", *flags], cwd=folder, check=False)
    subprocess.run(["gcc", "plain.c", "-o", "plain"], cwd=folder, check=False)
    freezer = [
        f"{environments['TOOLS']}/pyinstaller",
        "--log-level",
        "ERROR",
        "--distpath",
        "frozen",
        "app.py",
    ]
    subprocess.run(freezer, cwd=folder, check=False, capture_output=True)
