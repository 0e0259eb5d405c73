"""Brokers and stores by URL: its scheme names the module, which is imported only then."""

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

# Of the modules that are not called as their URLs begin.
SCHEMES = {"postgres": "postgresql"}


class PublishingBroker(Broker, PublishPort, Protocol):
    """A broker that this process can also publish into, as every member is."""


def broker(url: str, *, lease_s: float) -> AbstractAsyncContextManager[PublishingBroker]:
    """The broker at *url*, connected while the block runs; what it needs there is created.

    Raises:
        SettingsError: The URL is wrong, or its client library is not installed.
        StorageUnavailableError: On entering; it does not answer now.
        StorageBrokenError: On entering; it refuses.
    """
    connection: AbstractAsyncContextManager[PublishingBroker] = member(brokers, url, "broker").connect(
        url, lease_s=lease_s
    )
    return connection


def store(url: str) -> AbstractAsyncContextManager[Store]:
    """The store at *url*; raises as `broker` does."""
    connection: AbstractAsyncContextManager[Store] = member(stores, url).connect(url)
    return connection


def member(family: ModuleType, url: str, part: str = "") -> ModuleType:
    """The module of *family* that speaks to *url*.

    Raises:
        SettingsError: There is none, or its client library is not installed.
    """
    scheme, colon, _ = url.partition(":")
    modules = {SCHEMES.get(name, name): module for name, module in _members(family, part)}
    if not colon or scheme not in modules:
        near = difflib.get_close_matches(scheme, modules, n=1)
        hint = f'; did you mean "{near[0]}:"?' if near else ""
        schemes = ", ".join(f"{known}:" for known in sorted(modules))
        raise SettingsError(f"expected a URL with one of {schemes}, got {_shown(url)}{hint}")
    return importlib.import_module(modules[scheme])


def _members(family: ModuleType, part: str) -> Iterator[tuple[str, str]]:
    """Yield each member of *family*: its name and its module, which is *part* where members are packages."""
    for found in pkgutil.iter_modules(family.__path__):
        module = f"{family.__name__}.{found.name}"
        if part and found.ispkg and importlib.util.find_spec(f"{module}.{part}"):
            yield found.name, f"{module}.{part}"
        elif not part and not found.ispkg:
            yield found.name, module


def _shown(url: str) -> str:
    """The URL as errors may quote it: what stands before an @ may be a password."""
    secret, at, rest = url.rpartition("@")
    return repr(f"{secret.partition('//')[0]}//...@{rest}" if at else url)
