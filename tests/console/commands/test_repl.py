"""`repl`: Python on the service's loop; errors are reported to the client alone."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from harness.record.event import ConsoleAudited, ExceptionLost, ProbeFailed
from tests.support.commanded import wait
from tests.support.consoled import Client, Consoled, consoled, is_alive

PROGRAM = """
    import asyncio, sys, time

    stock = {"apples": 3}
    chatting = False

    async def ask():
        await asyncio.sleep(0.01)
        return stock["apples"]

    async def chat():
        while chatting:
            print("chat", flush=True)
            await asyncio.sleep(0.01)

    async def swallow():
        while True:
            try:
                await asyncio.sleep(3600)
            except asyncio.CancelledError:
                pass

    async def main():
        global talk
        print("ready", flush=True)
        loop = asyncio.get_running_loop()
        while line := await loop.run_in_executor(None, sys.stdin.readline):
            exec(line, globals())

    RUN
"""


@pytest.fixture(scope="module", params=["asyncio", "uvloop"])
def service(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, runtime_of_module: None
) -> Iterator[Consoled]:
    folder = tmp_path_factory.mktemp("service")
    with consoled(folder, program=PROGRAM, loop=request.param, allow=("repl",)) as running:
        yield running
        assert running.events(ProbeFailed) == []


def prompt(service: Consoled) -> Client:
    """A client at the prompt."""
    client = service.connect()
    client.wait_for("> ")
    client.send("repl\n")
    client.wait_for(">>> ")
    return client


def typed(client: Client, *lines: str) -> str:
    """The output for a piece of code of one or more lines."""
    for line in lines[:-1]:
        client.send(line + "\n")
        client.wait_for("... ")
    client.send(lines[-1] + "\n")
    return client.wait_for(">>> ").removesuffix(">>> ")


@pytest.mark.parametrize(
    ("code", "answer"),
    [
        ("1 + 1", "2"),
        ("await ask()", "3"),
        ("await asyncio.sleep(0, 'it is \"late\"')", "'it is \"late\"'"),
        ("stock", "{'apples': 3}"),
        ("None", ""),
        ("x = 5; x", "5"),
        ("print('a'); print('b'); 3", "a\nb\n3"),
        ("asyncio.current_task().get_name()", "'harness-repl'"),
        ("loop is asyncio.get_running_loop()", "True"),
        ("x = [n for n in range(3)]   ;   x", "[0, 1, 2]"),
    ],
)
def test_an_expression_is_run_on_the_loop(service: Consoled, code: str, answer: str) -> None:
    """The answer has the output and the value of the code, which may await at the top level."""
    assert service.ask(f"repl {code}") == answer


def test_a_large_value_is_cut(service: Consoled) -> None:
    """Long values and long outputs are shortened."""
    assert len(service.ask("repl list(range(10**6))")) < 10_000
    assert len(service.ask("repl print('x' * 10**7)")) < 200_000


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ("await asyncio.wait_for(asyncio.sleep(9), 0.01)", "TimeoutError"),
        ("def f(:", "SyntaxError: invalid syntax"),
        ("it's", "SyntaxError"),
        ("raise SystemExit(3)", "SystemExit: 3"),
        ("exit()", "SystemExit"),
        ("input()", "cannot read the service's stdin"),
        ("breakpoint()", "cannot read the service's stdin"),
        ("help()", "missing 1 required positional argument"),
        ("raise asyncio.CancelledError", "cancelled"),
        ("'\\0'.encode('nope')", "LookupError: unknown encoding: nope"),
    ],
)
def test_an_error_is_told_to_the_client_alone(service: Consoled, code: str, error: str) -> None:
    """The client gets the traceback of its own code; the service is not affected."""
    answer = service.request(f"repl {code}")

    assert (answer["ok"], answer["status"]) == (False, "failed")
    assert error in answer["text"]
    assert "interpreter.py" not in answer["text"]
    assert is_alive(service)
    assert service.events(ExceptionLost) == []


@pytest.mark.long
def test_what_takes_too_long_is_cancelled(service: Consoled) -> None:
    """Code is cancelled after --within; code that swallows the cancellation is reported as running."""
    assert service.request("repl --within 200ms await asyncio.sleep(60)")["text"] == "cancelled"
    assert "swallowed its cancellation" in service.request("repl --within 100ms await swallow()")["text"]


def test_code_that_holds_the_loop_is_named(service: Consoled) -> None:
    """Code that blocks the loop is reported as unstoppable; other clients are refused with its frame."""
    told = service.request("repl --within 300ms time.sleep(4)")["text"]
    refused = service.request("repl 1")

    assert "still runs, and cannot be stopped: it holds the loop" in told
    assert refused["status"] == "refused"
    assert "the loop did not run it within 1 s" in refused["text"]
    assert is_alive(service)
    assert service.ask("repl 1") == "1"


def test_a_conversation(service: Consoled) -> None:
    """Variables last, an empty line ends a block, ``_`` is the latest value, and an error ends nothing."""
    with prompt(service) as client:
        assert typed(client, "y = await ask()") == ""
        assert typed(client, "y * 2") == "6\n"
        assert typed(client, "_ + 1") == "7\n"
        assert typed(client, "for n in range(2):", "    print(n)", "") == "0\n1\n"
        assert typed(client, "async def double(n):", "    return 2 * n", "") == ""
        assert typed(client, "await double(4)") == "8\n"
        assert "NameError: name 'z' is not defined" in typed(client, "z")
        assert typed(client, "") == ""
        assert typed(client, "y") == "3\n"
        client.send("exit()\n")
        client.wait_for("> ")
        client.send("quit\n")
        client.rest()

    assert "NameError" in service.request("repl y")["text"]
    audited = wait(
        lambda: [e.line for e in service.events(ConsoleAudited) if e.line.startswith("await double")]
    )
    assert audited == ["await double(4)"]


def test_ctrl_c_cancels_the_expression_and_not_the_conversation(service: Consoled) -> None:
    """Telnet's interrupt cancels the code, and the prompt comes back."""
    with prompt(service) as client:
        client.send("await asyncio.sleep(60)\n")
        wait(lambda: service.ask("ps --filter task=harness-repl --json")["total"] or None)
        client.send(b"\xff\xf4")
        assert "cancelled" in client.wait_for(">>> ")
        assert typed(client, "1") == "1\n"


def test_ctrl_c_right_after_a_line_cancels_that_line(service: Consoled) -> None:
    """Both may come at once, before the line has begun to run; one before a line has nothing to cancel."""
    with prompt(service) as client:
        client.send(b"await asyncio.sleep(60)\n\xff\xf4")
        assert "cancelled" in client.wait_for(">>> ")
        client.send(b"\xff\xf4await asyncio.sleep(0.2, 7)\n")
        assert client.wait_for(">>> ").startswith("7\n")


def test_a_client_that_leaves_takes_its_expression_along(service: Consoled) -> None:
    """The code of a client that disconnects is cancelled."""
    before = service.ask("repl len(asyncio.all_tasks())")
    with prompt(service) as client:
        client.send("await asyncio.sleep(60)\n")
        wait(lambda: service.ask("repl len(asyncio.all_tasks())") == str(int(before) + 1))

    wait(lambda: service.ask("repl len(asyncio.all_tasks())") == before)


def test_what_others_print_is_not_the_clients(service: Consoled) -> None:
    """The client gets the output of its own code only, and stdout is restored."""
    service.do("chatting = True; talk = asyncio.get_running_loop().create_task(chat())")
    assert service.process.stdout.readline() == "chat\n"
    answer = service.ask("repl print('mine', await asyncio.sleep(0.2, 1))")
    service.do("chatting = False")

    assert answer == "mine 1"
    assert is_alive(service)
    service.do("print(type(sys.stdout).__name__, flush=True)")
    printed = iter(service.process.stdout.readline, "")
    assert next(line for line in printed if line != "chat\n") == "TextIOWrapper\n"
