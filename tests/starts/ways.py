"""The ways in which a Python program gets started, and what a report has to say of each.

A way is a line for the shell. It runs in a folder with the files of `write_files`, and with these variables:
PY (this Python), BASE (that of its virtual environment), OLD (a Python before 3.11), ENABLED (one of an
environment with ``harness enable``). The words ``{name}`` stand for a mark of the way, which
the program gets as an argument; by default it is the last one.
"""

from __future__ import annotations

import os
import zipapp
from dataclasses import dataclass
from pathlib import Path

# It blocks its loop for 150 ms, or for as long as the second word says, and says so when it is done.
APP = """
import asyncio, os, sys, time
def hold():
    time.sleep(0.15)
async def main():
    await asyncio.sleep(0.02)
    hold()
    await asyncio.sleep(0.02)
def run():
    asyncio.run(main())
    print("done", flush=True)
if __name__ == "__main__":
    run()
"""
QUIET = "print('done')\n"

FILES = {
    "app.py": APP,
    "quiet.py": QUIET,
    "pkg/__init__.py": "",
    "pkg/__main__.py": "from app import run\nrun()\n",
    "folder/__main__.py": APP,
    "replacing/sitecustomize.py": "import os; os.environ['REPLACING'] = 'yes'\n",
    "isolated": "#!{py} -I\n" + APP,
    "shebang": "#!{py}\n" + APP,
    "case.py": (
        "import unittest, app\n"
        "class Case(unittest.IsolatedAsyncioTestCase):\n"
        "    async def test_it(self): await app.main()\n"
    ),
    "test_case.py": "import app, asyncio\ndef test_it(): asyncio.run(app.main())\n",
    "threaded.py": "import threading, app\nt = threading.Thread(target=app.run); t.start(); t.join()\n",
    "by_hand.py": (
        "import asyncio, app\nloop = asyncio.new_event_loop()\nloop.run_until_complete(app.main())\n"
        "loop.close()\nprint('done')\n"
    ),
    "uv.py": "import app, asyncio, uvloop\nuvloop.install()\napp.run()\n",
    "forks.py": (
        "import os, app\nif os.fork() == 0:\n    app.run()\n    os._exit(0)\nassert os.wait()[1] == 0\n"
    ),
    "daemon.py": (
        "import os, app, time\n"
        "r, w = os.pipe()\n"
        "if os.fork() == 0:\n"
        "    os.setsid()\n"
        "    if os.fork() == 0:\n        app.run()\n        os.write(w, b'.')\n        os._exit(0)\n"
        "    os._exit(0)\n"
        "os.wait()\nos.close(w)\nos.read(r, 1)\n"
    ),
    "many.py": (
        "import multiprocessing, sys, app\n"
        "if __name__ == '__main__':\n"
        "    multiprocessing.set_start_method(sys.argv[1])\n"
        "    one = multiprocessing.Process(target=app.run)\n"
        "    one.start()\n    one.join()\n    sys.exit(one.exitcode)\n"
    ),
    "pool.py": (
        "import app\nfrom concurrent.futures import ProcessPoolExecutor\n"
        "if __name__ == '__main__':\n"
        "    with ProcessPoolExecutor(1) as pool: pool.submit(app.run).result()\n"
    ),
    # Starts app.py in the way that its first argument names.
    "starter.py": """
import os, runpy, subprocess, sys
name = sys.argv[-1]
command = [sys.executable, "app.py", name]
def run(**options):
    sys.exit(subprocess.run(command, **options).returncode)
match sys.argv[1]:
    case "copy": run(env={**os.environ, "A": "1"})
    case "empty": run(env={})
    case "clear": os.environ.clear(); run()
    case "replaced": os.environ["PYTHONPATH"] = "replacing"; run()
    case "execv": os.execv(command[0], command)
    case "execve":  # as opentelemetry-instrument does
        path = "replacing" + os.pathsep + os.environ["PYTHONPATH"]
        os.execve(command[0], command, {**os.environ, "PYTHONPATH": path})
    case "execl":  # as ddtrace-run does
        os.environ["PYTHONPATH"] = "replacing" + os.pathsep + os.environ["PYTHONPATH"]
        os.execl(command[0], *command)
    case "posix_spawn":
        sys.exit(os.waitpid(os.posix_spawn(command[0], command, os.environ), 0)[1])
    case "spawnv": sys.exit(os.spawnv(os.P_WAIT, command[0], command))
    case "system": sys.exit(os.system(" ".join(command)))
    case "popen": print(os.popen(" ".join(command)).read())
    case "runpy": runpy.run_path("app.py", run_name="__main__")
    case "exec": exec(compile(open("app.py").read(), "app.py", "exec"))
    case "setuid":  # as `gunicorn --user` does
        import app
        os.setgid(65534); os.setuid(65534); app.run()
    case "supervisor":
        import asyncio
        async def main():
            worker = await asyncio.create_subprocess_exec(*command, env={"PATH": "/usr/bin"})
            sys.exit(await worker.wait())
        asyncio.run(main())
""",
}

WATCHED = ""
AS_NOBODY = "setpriv --reuid 65534 --regid 65534 --clear-groups"
ISOLATED, IGNORED, SKIPPED = r"-I \(isolated mode\)", "-E, which ignores PYTHONPATH", "-S, which skips"
CLEAN, REPLACED = "its environment was replaced", "PYTHONPATH was replaced"


@dataclass(frozen=True)
class Way:
    """One way to start a program."""

    name: str
    line: str
    why_not: str = WATCHED  # a pattern of the reason; "" if its block must be found
    entered_by: str = ""
    needs: str = ""  # a variable that must have a value, or "root", or "nobody": that user can run Python
    marked: bool = True  # the program bears a further argument
    prints: bool = True  # "done", and nothing on stderr


WAYS = (
    Way("script", "$PY app.py"),
    Way("code", "$PY -c 'import app; app.run()'"),
    Way("module", "$PY -m app"),
    Way("package", "$PY -m pkg"),
    Way("stdin", "$PY - {name} < app.py"),
    Way("interactive", "echo 'import app; app.run()' | $PY -i - {name}", prints=False),
    Way("zipapp", "$PY app.pyz"),
    Way("folder", "$PY folder"),
    Way("shebang", "./shebang"),
    Way("shebang-isolated", "./isolated", ISOLATED),
    Way("link", "./linked-python app.py"),
    Way("options", "$PY -s -P -O -u -B -X utf8 -W error app.py"),
    Way("isolated", "$PY -I app.py", ISOLATED),
    Way("ignoring", "$PY -E app.py", IGNORED),
    Way("without-site", "$PY -S app.py", SKIPPED),
    Way("cluster", "$PY -uIB app.py", ISOLATED),
    Way("exec", "exec $PY app.py"),
    Way("late-exec", "sleep 2; exec $PY -I app.py", ISOLATED),
    Way("export", "export A=1; $PY app.py; true"),
    Way("env", "env A=1 $PY app.py"),
    Way("env-i", "env -i $PY app.py", CLEAN),
    Way("env-u", "env -u HARNESS_PROBE $PY app.py", CLEAN),
    Way("pipeline", "$PY app.py {name} | cat"),
    Way("background", "$PY app.py {name} & wait"),
    Way("subshell", "( ( $PY app.py {name} ); true ); true"),
    Way("nohup", "nohup $PY app.py"),
    Way("nice", "nice -n 1 $PY app.py"),
    Way("timeout", "timeout 20 $PY app.py"),
    Way("xargs", "echo {name} | xargs $PY app.py"),
    Way("setsid", "setsid -w $PY app.py"),
    Way("path-replaced", "PYTHONPATH=replacing $PY app.py", REPLACED),
    Way("path-appended", "PYTHONPATH=$PYTHONPATH:replacing $PY app.py"),
    Way(
        "path-prepended", "PYTHONPATH=replacing:$PYTHONPATH $PY app.py", "another sitecustomize stands before"
    ),
    Way(
        "path-prepended-base",
        "PYTHONPATH=replacing:$PYTHONPATH $BASE app.py",
        entered_by="usercustomize",
        needs="BASE",
    ),
    Way("no-user-site", "PYTHONNOUSERSITE=1 $PY app.py"),
    Way("safe-path", "PYTHONSAFEPATH=1 $PY app.py"),
    Way("copied-environment", "$PY starter.py copy"),
    Way("empty-environment", "$PY starter.py empty", CLEAN),
    Way("cleared-environment", "$PY starter.py clear", CLEAN),
    Way("program-replaces-path", "$PY starter.py replaced", REPLACED),
    Way("supervisor", "$PY starter.py supervisor", CLEAN),
    Way("execv", "$PY starter.py execv"),
    Way("execve-prepends", "$PY starter.py execve"),
    Way("execl-prepends", "$PY starter.py execl"),
    Way("posix-spawn", "$PY starter.py posix_spawn"),
    Way("spawnv", "$PY starter.py spawnv"),
    Way("system", "$PY starter.py system"),
    Way("popen", "$PY starter.py popen"),
    Way("runpy", "$PY starter.py runpy"),
    Way("exec-code", "$PY starter.py exec"),
    Way("fork", "$PY forks.py"),
    Way("double-fork", "$PY daemon.py"),
    Way("mp-fork", "$PY many.py fork"),
    Way("mp-spawn", "$PY many.py spawn"),
    Way("mp-forkserver", "$PY many.py forkserver"),
    Way("process-pool", "$PY pool.py"),
    Way("thread", "$PY threaded.py"),
    Way("loop-by-hand", "$PY by_hand.py"),
    Way("uvloop", "$PY uv.py"),
    Way("unittest", "$PY -m unittest case -k test_it -k {name}", prints=False),
    Way("pytest", "$PY -m pytest -q -p no:cacheprovider test_case.py -k 'test_it or {name}'", prints=False),
    Way("profiled", "$PY -m cProfile -o /dev/null app.py"),
    Way("debugger", "$PY -m pdb -c continue -c q app.py"),
    Way("pex-by-hand", "PEX=app.pex $PY -sE app.pyz", "PEX started it with -E"),
    Way("enabled-isolated", "$ENABLED -I app.py", entered_by="pth", needs="ENABLED"),
    Way("enabled-ignoring", "$ENABLED -E app.py", entered_by="pth", needs="ENABLED"),
    Way("enabled-env-i", "env -i $ENABLED app.py", entered_by="pth", needs="ENABLED"),
    Way("enabled-without-site", "$ENABLED -S app.py", SKIPPED, needs="ENABLED"),
    Way(
        "enabled-path-prepended",
        "PYTHONPATH=replacing:$PYTHONPATH $ENABLED app.py",
        entered_by="pth",
        needs="ENABLED",
    ),
    Way("setpriv", f"{AS_NOBODY} $PY app.py", needs="nobody"),
    Way("drops-privileges", "$PY starter.py setuid", needs="root"),
    Way("old-python", "$OLD quiet.py", "the probe needs 3.11", needs="OLD"),
    Way("no-loop", "$PY quiet.py", "no event loop ran in it"),
    Way("not-python", "sleep 0.4; : {name}", "not a Python program", prints=False),
)


def write_files(folder: Path, python: str) -> None:
    """Make the files that the lines speak of."""
    for name, text in FILES.items():
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text.replace("{py}", python))
        if text.startswith("#!"):
            path.chmod(0o755)
    zipapp.create_archive(folder / "folder", folder / "app.pyz")
    os.symlink(python, folder / "linked-python")
