"""How the templates of the pages are loaded, with the style sheets and scripts that a page holds itself."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from .template_cache import template_cache
from .units import plural

_FOLDER = Path(__file__).parent / "renderers"


def page_environment(package: str) -> Environment:
    """The environment of the templates in *package*, with the functions ``asset`` and ``plural``."""
    environment = Environment(
        loader=PackageLoader(package, "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        bytecode_cache=template_cache(),
    )
    environment.globals.update(asset=_asset, plural=plural)
    return environment


@cache
def _asset(path: str) -> Markup:
    """A style sheet, script or licence, unescaped: all of them are part of the package."""
    return Markup((_FOLDER / path).read_text(encoding="utf-8"))  # noqa: S704
