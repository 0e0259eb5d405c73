"""A watched module gets its step once, after the import that succeeds, whatever a program did before."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from harness.probe.hooks.import_hook import PostImportHook

NAME = "watched_of_test"


@pytest.fixture
def stepped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[ModuleType]]:
    """The modules that the step was called with; `NAME` is watched."""
    (tmp_path / f"{NAME}.py").write_text("VALUE = 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    # Without pytest's own, which is first in turn for modules of tests.
    own = [finder for finder in sys.meta_path if not type(finder).__module__.startswith("_pytest")]
    monkeypatch.setattr(sys, "meta_path", own)
    finders, modules, hook = list(sys.meta_path), list[ModuleType](), PostImportHook()
    hook.watch(NAME, "test", modules.append)
    assert sys.meta_path != finders
    yield modules
    sys.modules.pop(NAME, None)
    assert sys.meta_path == finders


def test_a_program_may_look_for_the_module_before_it_imports_it(stepped: list[ModuleType]) -> None:
    """Also twice, and ask the loader that it finds."""
    for _ in range(2):
        spec = importlib.util.find_spec(NAME)
        assert spec is not None
        assert spec.loader is not None
        assert spec.loader.get_source(NAME) == "VALUE = 1\n"  # type: ignore[attr-defined]
        assert stepped == []

    module = importlib.import_module(NAME)
    assert stepped == [module]
    assert type(module.__loader__).__module__ == "_frozen_importlib_external"

    importlib.reload(module)
    assert stepped == [module]


def test_an_import_that_fails_does_not_count(stepped: list[ModuleType], tmp_path: Path) -> None:
    """The next one does."""
    file = tmp_path / f"{NAME}.py"
    whole = file.read_text()
    file.write_text("raise OSError('half of it')\n")
    with pytest.raises(OSError, match="half of it"):
        importlib.import_module(NAME)
    assert stepped == []

    file.write_text(whole)
    importlib.invalidate_caches()
    assert stepped == [importlib.import_module(NAME)]


def test_a_finder_may_ask_all_finders_again(stepped: list[ModuleType]) -> None:
    """As tools do that change what others find."""

    class Asking:
        busy = False

        @classmethod
        def find_spec(cls, name: str, path: object, target: object = None) -> object:
            if cls.busy or name != NAME:
                return None
            cls.busy = True
            try:
                return importlib.util.find_spec(name)
            finally:
                cls.busy = False

    finders = list(sys.meta_path)
    sys.meta_path.insert(1, Asking)  # type: ignore[arg-type]  # it finds by duck type
    try:
        module = importlib.import_module(NAME)
        assert stepped == [module]
    finally:
        sys.meta_path.remove(Asking)  # type: ignore[arg-type]
    assert sys.meta_path == finders[1:]
