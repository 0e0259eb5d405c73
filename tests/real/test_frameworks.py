"""A fault in a handler that a real web framework holds in its router: hit, in every worker."""

from __future__ import annotations

import json
from pathlib import Path
from textwrap import dedent
from typing import NamedTuple

import pytest

from tests.support.commanded import harness, scenario
from tests.support.port import free_port

pytestmark = [pytest.mark.real, pytest.mark.timeout(900)]

PROGRAMS = {
    "route_fastapi.py": """
        import asyncio
        from fastapi import FastAPI
        app = FastAPI()
        @app.get("/ok")
        async def ok():
            await asyncio.sleep(0.01)
            return {}
    """,
    "route_aiohttp.py": """
        import asyncio, sys
        from aiohttp import web
        async def ok(request):
            await asyncio.sleep(0.01)
            return web.json_response({})
        app = web.Application()
        app.add_routes([web.get("/ok", ok)])
        web.run_app(app, host="127.0.0.1", port=int(sys.argv[1]))
    """,
    "route_django.py": """
        import asyncio
        import django
        from django.conf import settings
        settings.configure(SECRET_KEY="x", ALLOWED_HOSTS=["*"], ROOT_URLCONF=__name__, MIDDLEWARE=[])
        django.setup()
        from django.core.asgi import get_asgi_application
        from django.http import JsonResponse
        from django.urls import path
        from django.views.decorators.csrf import csrf_exempt
        @csrf_exempt
        async def ok(request):
            await asyncio.sleep(0.01)
            return JsonResponse({})
        urlpatterns = [path("ok", ok)]
        application = get_asgi_application()
    """,
    "route_quart.py": """
        import asyncio
        from quart import Quart
        def create_app():
            app = Quart("shop")
            @app.get("/ok")
            async def ok():
                await asyncio.sleep(0.01)
                return {}
            return app
    """,
    "route_litestar.py": """
        import asyncio
        from litestar import Litestar, get
        @get("/ok")
        async def ok() -> dict:
            await asyncio.sleep(0.01)
            return {}
        app = Litestar([ok])
    """,
    "route_sanic.py": """
        import asyncio, sys
        from sanic import Sanic
        from sanic.response import json
        app = Sanic("shop")
        @app.get("/ok")
        async def ok(request):
            await asyncio.sleep(0.01)
            return json({})
        if __name__ == "__main__":
            app.run(host="127.0.0.1", port=int(sys.argv[1]), workers=2)
    """,
}
SCENARIO = """
    seed = 5
    [target]
    kind = "program"
    command = {command}
    ready = {{ port = {port} }}
    [load]
    sender = "http"
    url = "http://127.0.0.1:{port}/ok"
    rate_per_s = 30
    duration_s = 10
    max_late_ms = 5000
    [[faults]]
    id = "slow"
    kind = "block.sleep"
    in = "{place}"
    block_ms = 150
    probability = 0.1
    [expect]
    "blocks.max_held_ms" = ">= 140"
"""


class Served(NamedTuple):
    """How a program is served, and the handler; a worker that ends after some requests is replaced."""

    command: str
    place: str
    processes: int = 1  # at least so many are hit


SERVED = {
    "fastapi": Served("fastapi run route_fastapi.py --port {port}", "route_fastapi:ok"),
    "uvicorn, workers": Served("uvicorn route_fastapi:app --port {port} --workers 2", "route_fastapi:ok"),
    "uvicorn, reload": Served("uvicorn route_fastapi:app --port {port} --reload", "route_fastapi:ok"),
    "uvicorn, application": Served("uvicorn route_fastapi:app --port {port}", "route_fastapi:app"),
    "aiohttp": Served("python route_aiohttp.py {port}", "route_aiohttp:ok"),
    "django, daphne": Served("daphne -p {port} route_django:application", "route_django:ok"),
    "quart, hypercorn": Served(
        "hypercorn -b 127.0.0.1:{port} route_quart:create_app()", "route_quart:create_app.<locals>.ok"
    ),
    "litestar": Served("litestar --app route_litestar:app run --port {port}", "route_litestar:ok"),
    "sanic, script": Served("python route_sanic.py {port}", "route_sanic:ok"),
    "sanic, command": Served("sanic route_sanic:app --port {port}", "route_sanic:ok"),
    "gunicorn, max-requests": Served(
        "gunicorn -k uvicorn_worker.UvicornWorker -w 2 --max-requests 20 -b 127.0.0.1:{port} "
        "route_fastapi:app",
        "route_fastapi:ok",
        3,
    ),
    "gunicorn, preload": Served(
        "gunicorn --preload -k uvicorn_worker.UvicornWorker -w 2 --max-requests 20 -b 127.0.0.1:{port} "
        "route_fastapi:app",
        "route_fastapi:ok",
        3,
    ),
}


def asked(tmp_path: Path, programs: Path, command: str, place: str) -> Path:
    for name, text in PROGRAMS.items():
        (tmp_path / name).write_text(dedent(text))
    port = free_port()
    program, *arguments = command.format(port=port).split()
    parts = json.dumps([str(programs / program), *arguments])
    return scenario(tmp_path, SCENARIO.format(command=parts, port=port, place=place))


@pytest.mark.parametrize("served", SERVED.values(), ids=SERVED)
def test_a_handler_of_a_framework_is_hit(served: Served, tmp_path: Path, programs: Path) -> None:
    """The fault takes effect, its blocks are blamed on the handler, and the run is judged."""
    ended = harness("run", asked(tmp_path, programs, served.command, served.place), cwd=tmp_path)

    assert ended.status == 0, ended.stdout
    (fault,) = ended.report["faults"]
    assert fault["processes"] >= served.processes
    assert 0 < fault["fired"] < fault["calls"]
    name = "__call__" if served.place.endswith(":app") else "ok"
    blamed = {block["function"].rpartition(".")[2] for block in ended.report["blocks"] if block["fault"]}
    assert blamed == {name}


NOT_HIT = ["time:sleep", "fastapi:FastAPI", "route_fastapi:nothing", "pydantic_core:SchemaValidator"]


@pytest.mark.parametrize("place", NOT_HIT)
def test_what_cannot_be_hit_is_refused_before_the_load(place: str, tmp_path: Path, programs: Path) -> None:
    """With status 3, and no request sent."""
    command = "uvicorn route_fastapi:app --port {port}"
    ended = harness("run", asked(tmp_path, programs, command, place), cwd=tmp_path)

    assert ended.status == 3
    assert ended.report["faults"][0]["error"]

    assert ended.report["load"] is None
