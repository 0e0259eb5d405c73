"""What the tests of this folder install, and in which versions: servers, and what the driver asks them with.

A range ends before the next version that may change how the program starts or what it prints; what a package
needs itself is its own affair.
"""

from __future__ import annotations

PACKAGES = (
    "aiohttp>=3.11,<4",
    "aiosmtpd>=1.4,<2",
    "arq>=0.26,<1",
    "blacksheep>=2.0,<3",
    "channels>=4.1,<5",
    "daphne>=4.1,<5",
    "django>=5.1,<6",
    "fastapi[standard]>=0.115,<1",
    "faststream[nats,cli]>=0.5,<1",
    "granian>=2.0,<3",
    "grpcio>=1.66,<2",
    "gunicorn>=23,<28",
    "hypercorn[uvloop]>=0.17,<1",
    "litestar[standard]>=2.12,<3",
    "quart>=0.19,<1",
    "sanic>=24.12,<27",
    "starlette>=0.40,<2",
    "tornado>=6.4,<7",
    "uvicorn[standard]>=0.32,<1",
    "uvicorn-worker>=0.3,<1",
    "uvloop>=0.21,<1",
    "websockets>=14,<18",
)
