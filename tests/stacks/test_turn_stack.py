"""Which frame of a stack is blamed."""

import pytest

from harness.record.event import Frame
from harness.stacks.ownership import CodeOwnership
from harness.stacks.turn_stack import TurnStack, work_in

OWNERSHIP = CodeOwnership(
    ("/srv/shop/",),
    ("/usr/lib/python3.12/", "/srv/shop/.venv/lib/python3.12/site-packages/"),
    harness="/opt/x/harness",
)
RUN = Frame("/usr/lib/python3.12/asyncio/events.py", 88, "Handle._run")
MAIN = Frame("/srv/shop/main.py", 9, "<module>")
OWN = Frame("/srv/shop/cart.py", 41, "Cart.total")
SOCKET = Frame("/usr/lib/python3.12/socket.py", 706, "SocketIO.readinto")
VENDOR = Frame("/srv/shop/.venv/lib/python3.12/site-packages/vendor/__init__.py", 3, "reboot")
EXEC = Frame("<string>", 1, "handler")
IMPORT = Frame("<frozen importlib._bootstrap>", 1360, "_find_and_load")
PLUGIN = Frame("/srv/shop/plugin.py", 2, "<module>")
IMPORTLIB = Frame("/usr/lib/python3.12/importlib/__init__.py", 126, "import_module")
PROBE = Frame("/opt/x/harness/probe/control/faults.py", 7, "act")


@pytest.mark.parametrize(
    ("stack", "blamed"),
    [
        ((MAIN, RUN, OWN, VENDOR, SOCKET), OWN),
        ((MAIN, RUN, VENDOR, EXEC, SOCKET), EXEC),
        ((MAIN, RUN, VENDOR, SOCKET), SOCKET),
        ((MAIN, RUN, OWN, PROBE), OWN),
        ((MAIN, RUN, OWN, IMPORT, PLUGIN, SOCKET), OWN),
        ((MAIN, RUN, VENDOR, IMPORT, PLUGIN, SOCKET), PLUGIN),
        ((MAIN, RUN, VENDOR, IMPORTLIB, IMPORT, SOCKET), VENDOR),
        ((MAIN, RUN, VENDOR, IMPORT, EXEC), VENDOR),
        ((MAIN, RUN), RUN),
        (
            (MAIN, RUN, Frame("/srv/shop/harness/probe/mine.py", 5, "mine")),
            Frame("/srv/shop/harness/probe/mine.py", 5, "mine"),
        ),
    ],
    ids=[
        "own code",
        "neither",
        "library only",
        "probe",
        "import",
        "import by a library",
        "import of a library by a library",
        "import of what makes code",
        "nothing",
        "lookalike",
    ],
)
def test_the_frame_to_blame(stack: tuple[Frame, ...], blamed: Frame) -> None:
    """Own code before anything else, inside the turn only; an import is blamed on who asked for it."""
    assert TurnStack(stack, OWNERSHIP).blamed == blamed


def test_an_import_is_told_by_the_frames_inside_the_turn() -> None:
    """A loop that is started while a module is imported does not make every block an import."""
    assert TurnStack((MAIN, RUN, OWN, IMPORT, PLUGIN), OWNERSHIP).imports
    assert TurnStack((MAIN, RUN, OWN, IMPORT, PLUGIN), OWNERSHIP).imported == "plugin"
    assert not TurnStack((MAIN, IMPORT, PLUGIN, RUN, OWN), OWNERSHIP).imports


@pytest.mark.parametrize(
    ("file", "name"),
    [
        (
            "/srv/shop/.venv/lib/python3.12/site-packages/anyio/_backends/_asyncio.py",
            "anyio._backends._asyncio",
        ),
        (VENDOR.file, "vendor"),
        ("/usr/lib/python3.12/email/__init__.py", "email"),
        ("/elsewhere/x.py", "x"),
    ],
)
def test_a_module_is_named_as_it_is_imported(file: str, name: str) -> None:
    """In full: `_asyncio` is a module of the standard library as well."""
    assert TurnStack((MAIN, RUN, OWN, IMPORT, Frame(file, 1, "<module>")), OWNERSHIP).imported == name


def test_the_leaf_is_named_only_when_it_is_a_library_call() -> None:
    """``module.function`` of the innermost library frame; nothing for own code or the blamed frame itself."""
    assert TurnStack((RUN, OWN, SOCKET), OWNERSHIP).leaf(OWN) == "socket.SocketIO.readinto"
    assert TurnStack((RUN, OWN, VENDOR), OWNERSHIP).leaf(OWN) == "vendor.reboot"
    assert TurnStack((RUN, OWN, PROBE), OWNERSHIP).leaf(OWN) == ""
    assert TurnStack((RUN, SOCKET), OWNERSHIP).leaf(SOCKET) == ""


@pytest.mark.parametrize(
    ("stack", "blamed", "named"),
    [
        ((MAIN, RUN, OWN, VENDOR, SOCKET), OWN, "reboot (vendor/__init__.py:3)"),
        ((MAIN, RUN, OWN, VENDOR, SOCKET, OWN), OWN, "reboot (vendor/__init__.py:3)"),
        ((MAIN, RUN, VENDOR, SOCKET), SOCKET, "reboot (vendor/__init__.py:3)"),
        ((MAIN, RUN, VENDOR), VENDOR, ""),
        ((MAIN, RUN, VENDOR, OWN, SOCKET), OWN, ""),
        ((MAIN, VENDOR, RUN, OWN, SOCKET), OWN, ""),
    ],
    ids=["called", "calls back", "no own code", "blamed itself", "framework", "outside the turn"],
)
def test_the_packages_frame_is_the_innermost_one_below_own_code(
    stack: tuple[Frame, ...], blamed: Frame, named: str
) -> None:
    """Neither the standard library, nor the framework that called the program."""
    assert TurnStack(stack, OWNERSHIP).library(blamed) == named


def test_a_package_that_is_run_as_the_program_is_named_as_a_package() -> None:
    """``python -m uvicorn`` in a folder that the virtual environment lies in."""
    site = "/srv/shop/.venv/lib/python3.12/site-packages/"
    ownership = CodeOwnership((site + "uvicorn/", "/srv/shop/"), ("/usr/lib/python3.12/", site))

    assert ownership.short(site + "uvicorn/importer.py") == "uvicorn/importer.py"
    assert ownership.is_application(Frame(site + "uvicorn/importer.py", 21, "load"))


@pytest.mark.parametrize(
    ("file", "short"),
    [
        ("/srv/shop/api/cart.py", "api/cart.py"),
        (VENDOR.file, "vendor/__init__.py"),
        (SOCKET.file, "socket.py"),
        ("/elsewhere/x.py", "/elsewhere/x.py"),
    ],
)
def test_a_file_is_named_below_the_folder_that_holds_it(file: str, short: str) -> None:
    """The program's files by the program's folder, libraries as they are imported, others in full."""
    assert OWNERSHIP.short(file) == short


def test_the_outermost_folder_of_the_program_names_its_files() -> None:
    """A program whose main module lies in a folder of the working directory is named from the latter."""
    ownership = CodeOwnership(("/srv/shop/api/", "/srv/shop/", "/"), ("/usr/lib/python3.12/",))

    assert ownership.short("/srv/shop/api/cart.py") == "api/cart.py"


def test_the_work_of_a_pools_thread_is_what_its_functions_call() -> None:
    """Two of them since Python 3.14; none in a thread that waits for work."""
    worker = Frame("/usr/lib/python3.14/concurrent/futures/thread.py", 116, "_worker")
    item, context = worker._replace(function="_WorkItem.run"), worker._replace(function="WorkerContext.run")

    assert work_in((worker, item, OWN)) == work_in((worker, item, context, OWN)) == (OWN,)
    assert work_in((worker, item)) == ()
    assert work_in((worker,)) is None
