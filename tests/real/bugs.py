"""Bugs of released packages: the last version that has one, the first that has not, and what is to be named.

The programs that trigger them are none of this project's: they lie beside it (`FOLDER`), where its developers
keep them, and know nothing of the harness.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

FOLDER = Path(__file__).parents[3] / "shared" / "real-bugs"


class Bug(NamedTuple):
    """A program, the packages that it needs without and with the correction, and how the bug is told."""

    program: str
    rule: str  # the findings it is among
    named: str  # in the place that is blamed: the package's function, or the program's where that is called
    bad: tuple[str, ...]
    good: tuple[str, ...]
    environ: Mapping[str, str] = MappingProxyType({})


BUGS = (
    Bug(  # a regular expression that backtracks, and keeps the GIL
        "pm_redos",
        "blocks",
        "parse_options_header (multipart/multipart.py",
        ("starlette==0.36.3", "uvicorn", "httpx", "python-multipart==0.0.6"),
        ("starlette==0.36.3", "uvicorn", "httpx", "python-multipart==0.0.7"),
    ),
    Bug(  # the time to parse a cookie is the square of its length
        "tornado_cookie",
        "blocks",
        "_unquote_cookie (tornado/httputil.py",
        ("tornado==6.4.1",),
        ("tornado==6.4.2",),
    ),
    Bug(  # asks the resolver for the machine's own name
        "aio_fqdn",
        "blocks",
        "BaseRequest.host (aiohttp/web_request.py",
        ("aiohttp==3.13.5",),
        ("aiohttp==3.14.0",),
        {"SLOWDNS": "0.5"},
    ),
    Bug(  # connects a socket that blocks
        "mongo_conn",
        "blocks",
        "_async_create_connection in pool_shared.py",
        ("pymongo==4.13.1",),
        ("pymongo==4.13.2",),
    ),
    Bug(  # an upload that is moved to the disk
        "st_rollover",
        "blocks",
        "UploadFile.write (starlette/datastructures.py",
        ("starlette==0.47.1", "uvicorn", "httpx", "python-multipart"),
        ("starlette==0.47.2", "uvicorn", "httpx", "python-multipart"),
        {"SLOW": "0.3"},
    ),
    Bug(  # a tool that is a plain function runs on the loop
        "fmcp",
        "blocks",
        "slow in fmcp.py",
        ("fastmcp==2.14.5",),
        ("fastmcp==3.0.0",),
    ),
    Bug(  # a task for each connection, which does not end with it
        "sse_leak",
        "tasks",
        "_shutdown_watcher wait at sse_starlette/sse.py",
        ("sse-starlette==3.1.1", "starlette", "uvicorn"),
        ("sse-starlette==3.1.2", "starlette", "uvicorn"),
    ),
    Bug(  # waits for a response that never ends
        "uv_shutdown",
        "ending",
        "Server.serve waits in Server.shutdown (uvicorn/server.py",
        ("starlette", "uvicorn==0.21.1"),
        ("starlette", "uvicorn==0.22.0"),
    ),
)
