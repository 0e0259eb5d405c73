"""Brokers and stores by URL: the scheme names the module, which is imported only then."""

from __future__ import annotations

import difflib
import importlib.util
import pkgutil
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager
from types import ModuleType
from typing import Protocol

from . import brokers, stores
from .errors import SettingsError
from .ports import Broker, PublishPort, Store

# URL schemes that differ from their module's name.
SCHEMES = {"postgres": "postgresql"}


class PublishingBroker(Broker, PublishPort, Protocol):
    """A broker that also accepts messages, as every member of `brokers/` does."""


def broker(url: str, *, lease_s: float) -> AbstractAsyncContextManager[PublishingBroker]:
    """Connect to the broker at *url* while the block runs; missing tables and streams are created.

    Raises:
        SettingsError: The URL is wrong, or its client library is not installed.
        StorageUnavailableError: On entering: it does not answer.
        StorageBrokenError: On entering: it refuses the connection, or is damaged.
    """
    module = member(brokers, url, "broker")
    connection: AbstractAsyncContextManager[PublishingBroker] = module.connect(url, lease_s=lease_s)
    return connection


def store(url: str) -> AbstractAsyncContextManager[Store]:
    """Connect to the store at *url*; raises as `broker` does."""
    connection: AbstractAsyncContextManager[Store] = member(stores, url).connect(url)
    return connection


def member(family: ModuleType, url: str, part: str = "") -> ModuleType:
    """The module of *family* for *url*; *part* names the module within a member that is a package.

    Raises:
        SettingsError: There is no such module, or its client library is not installed.
    """
    scheme, colon, _ = url.partition(":")
    names = {SCHEMES.get(name, name): name for name in _members(family, part)}
    if not colon or scheme not in names:
        near = difflib.get_close_matches(scheme, names, n=1)
        hint = f'; did you mean "{near[0]}:"?' if near else ""
        schemes = ", ".join(f"{known}:" for known in sorted(names))
        raise SettingsError(f"expected a URL with one of {schemes}, got {_shown(url)}{hint}")
    name = names[scheme]
    try:
        return importlib.import_module(".".join(filter(None, (family.__name__, name, part))))
    except ModuleNotFoundError as exc:
        # The extra has the module's name.
        remedy = f"pip install 'asyncio-harness[{name}]'"
        raise SettingsError(f"{scheme}: the package {exc.name} is missing; {remedy}") from exc


def _members(family: ModuleType, part: str) -> Iterator[str]:
    for found in pkgutil.iter_modules(family.__path__):
        name = f"{family.__name__}.{found.name}"
        if found.ispkg == bool(part) and (not part or importlib.util.find_spec(f"{name}.{part}")):
            yield found.name


def _shown(url: str) -> str:
    """The URL without its password, for errors."""
    secret, at, rest = url.rpartition("@")
    return repr(f"{secret.partition('//')[0]}//...@{rest}" if at else url)
