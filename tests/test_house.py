"""The house keeps its own rules: import contracts, style and types, and what a visitor reads."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
BIN = Path(sys.executable).parent


def run(*command: str) -> str:
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_rooms_import_only_what_they_may() -> None:
    """The import contracts hold."""
    assert " 0 broken" in run(str(BIN / "lint-imports"), "--no-cache")


@pytest.mark.parametrize("check", [("check",), ("format", "--check")], ids=" ".join)
def test_the_code_is_in_style(check: tuple[str, ...]) -> None:
    """ruff has nothing to say."""
    run(str(BIN / "ruff"), *check, ".")


@pytest.mark.long
@pytest.mark.timeout(300)
def test_the_types_hold() -> None:
    """mypy --strict has nothing to say."""
    run(str(BIN / "mypy"))


def test_the_probe_and_the_record_read_no_clock_that_can_be_frozen() -> None:
    """They have one of their own."""
    frozen = re.compile(r"from time import .*(monotonic|perf_counter)|time\.(monotonic|perf_counter)(_ns)?\(")
    files = {path for room in ("probe", "record") for path in (ROOT / "harness" / room).rglob("*.py")}

    assert [path for path in files if frozen.search(path.read_text())] == []


def test_packages_have_empty_beginnings() -> None:
    """An `__init__.py` has no code, except the public faces."""
    full = {path for path in (ROOT / "harness").rglob("__init__.py") if path.read_text().strip()}

    assert full == {ROOT / "harness" / "__init__.py", ROOT / "harness" / "testing" / "__init__.py"}


@pytest.mark.parametrize("page", sorted(path.name for path in ROOT.glob("*.md")))
def test_links_of_a_page_lead_somewhere(page: str) -> None:
    """Every relative link names a file of the repository."""
    links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", (ROOT / page).read_text())

    assert [link for link in links if not (ROOT / link).exists()] == []


# Families, found by name: a new member is a new file, so their number is no sign of disorder.
FAMILIES = {"brokers", "commands", "hosts", "kinds", "renderers", "rules", "senders", "stores", "targets"}
MODULES = 16


def test_a_folder_can_be_read_at_a_glance() -> None:
    """At most so many modules side by side, families aside: more want a room of their own."""
    folders = [path.parent for path in (ROOT / "harness").rglob("__init__.py")]
    crowded = {
        str(folder.relative_to(ROOT)): count
        for folder in folders
        if folder.name not in FAMILIES
        and (count := len([p for p in folder.glob("*.py") if p.name != "__init__.py"])) > MODULES
    }

    assert crowded == {}


def test_a_class_name_stands_in_one_file() -> None:
    """Whoever reads it, or searches for it, finds one class."""
    files: dict[str, set[str]] = {}
    for path in (ROOT / "harness").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ClassDef):
                files.setdefault(node.name, set()).add(str(path.relative_to(ROOT)))

    assert {name: where for name, where in files.items() if len(where) > 1} == {}


# Documented, in spite of their names.
DOCUMENTED = {
    "sys._getframe",  # the stack of this thread: `sys`, "System-specific parameters and functions"
    "os._exit",  # `os`, "Process Management"
}
# aiomonitor's private parts, not Python's: it has no public way to run one of its commands.
OTHERS = {"console/commands/aiomonitor.py"}


def test_only_the_hooks_reach_into_private_parts() -> None:
    """What the next Python may change is used in one folder: no other file uses foreign private parts."""
    house = ROOT / "harness"
    files = [file for room in ("probe", "console") for file in (house / room).rglob("*.py")]
    outside = [file for file in files if "probe/hooks" not in file.as_posix()]
    found = {str(file.relative_to(house)): foreign_parts(ast.parse(file.read_text())) for file in outside}

    assert {file: parts for file, parts in found.items() if parts and file not in OTHERS} == {}


def test_only_one_module_knows_versions() -> None:
    """Everything else asks it what this Python has."""
    files = [file for room in ("probe", "console") for file in (ROOT / "harness" / room).rglob("*.py")]

    knowing = {
        file.relative_to(ROOT / "harness").as_posix()
        for file in files
        if "sys.version_info" in file.read_text()
    }
    # Those of `entry` are read by every Python, however old; the others only by one that the probe supports.
    assert {name for name in knowing if not name.startswith("probe/entry/")} == {"probe/hooks/runtime.py"}


# The ways by which Python calls what it was given.
CALLS_BACK = {
    *("atexit.register", "gc.callbacks", "os.register_at_fork", "signal.signal", "weakref.finalize"),
    *("sys.addaudithook", "sys.excepthook", "sys.meta_path.insert", "sys.setprofile", "sys.settrace"),
    *("sys.unraisablehook", "threading.excepthook", "threading.setprofile", "threading.settrace"),
}


def test_whatever_the_program_calls_in_the_probe_belongs_to_a_hook() -> None:
    """Python calls the probe in `hooks/`, or by a `Hook` of the file; `tests/harm` makes each fail."""
    probe = ROOT / "harness" / "probe"
    files = {
        file for file in probe.rglob("*.py") if file.relative_to(probe).parts[0] not in {"entry", "hooks"}
    }
    ways = {file: ways_to_call_back(file.read_text()) for file in files}
    unguarded = {file: found for file, found in ways.items() if found and "Hook(" not in file.read_text()}

    assert unguarded == {}
    assert {found for names in ways.values() for found in names} == {"gc.callbacks", "signal.signal"}


def ways_to_call_back(text: str) -> set[str]:
    """Those of `CALLS_BACK` that a module uses, and the attributes that it sets by name."""
    nodes = list(ast.walk(ast.parse(text)))
    attributes = {ast.unparse(node) for node in nodes if isinstance(node, ast.Attribute)}
    replaces = any(isinstance(node, ast.Call) and ast.unparse(node.func) == "setattr" for node in nodes)
    return attributes & CALLS_BACK | ({"setattr"} if replaces else set())


def foreign_parts(tree: ast.Module) -> list[str]:
    """The private attributes in a module that it does not define itself, as they are written."""
    own: set[str] = set()
    parts: list[tuple[str, ast.AST]] = []
    for node in ast.walk(tree):
        match node:
            case ast.FunctionDef(name=name) | ast.ClassDef(name=name):
                own.add(name)
            case ast.Attribute(attr=name, ctx=ast.Store()) | ast.AnnAssign(target=ast.Name(id=name)):
                own.add(name)
            case ast.Attribute(value=ast.Name(id="self" | "cls")):
                pass
            case ast.Attribute(attr=name):
                parts.append((name, node))
            case ast.Call(
                func=ast.Name(id="getattr" | "hasattr"), args=[_, ast.Constant(value=str(name)), *_]
            ):
                parts.append((name, node))
            case ast.ImportFrom(level=0, names=names):
                parts += ((name.name, node) for name in names)
    texts = [ast.unparse(node) for name, node in parts if is_private(name) and name not in own]
    return [text for text in texts if text not in DOCUMENTED]


def is_private(name: str) -> bool:
    # Ours on foreign objects, such as the number of a task, say so.
    return name.startswith("_") and not name.startswith(("__", "_harness"))
