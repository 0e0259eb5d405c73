"""Sessions of clients over real sockets of a real process, on asyncio's loop and on uvloop."""

from __future__ import annotations

import json
import random
import shutil
import socket
import stat
import struct
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from harness.console.protocol import registry
from harness.console.server.connection import LINE_BYTES
from harness.console.server.listener import TRIES_PER_S, WRONG_S
from harness.console.server.server import CLIENTS
from harness.record.event import ConsoleAudited, ConsoleCounted, ConsoleOpened
from tests.console.conftest import Ask
from tests.support.commanded import Terminal, wait
from tests.support.consoled import Consoled, consoled, is_alive

TELNET = pytest.mark.skipif(not shutil.which("telnet"), reason="telnet is not installed")
NC = pytest.mark.skipif(not shutil.which("nc"), reason="nc is not installed")


@pytest.fixture(params=["asyncio", "uvloop"])
def anywhere(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Consoled]:
    """A program on either kind of loop; its console may cancel and has a port for telnet."""
    with consoled(tmp_path, loop=request.param, port=0, allow=("slow", "cancel")) as running:
        yield running


def test_every_command_has_its_line_of_help(ask: Ask) -> None:
    """`help` lists every command with its summary."""
    shown = {command["name"]: command["summary"] for command in ask("help --json")["commands"]}

    assert {registry.find(name).name: registry.find(name).summary for name in shown} == shown
    assert [line.split()[0] for line in ask("help").splitlines()[: len(shown)]] == list(shown)


@TELNET
def test_debians_telnet(anywhere: Consoled, tmp_path: Path) -> None:
    """Telnet gets a prompt, answers, help and completions; Ctrl-C ends a command, not the session."""
    card = anywhere.card
    terminal = Terminal(["telnet", "127.0.0.1", str(card.port)], cwd=tmp_path, columns=200)
    terminal.wait_for("token: ")
    terminal.type(card.token + "\r")
    terminal.wait_for(f"console of pid {card.pid}")
    terminal.wait_for("> ")
    terminal.type("ps\r")
    terminal.wait_for("waiting-2")
    terminal.type("st ?\r")
    terminal.wait_for("> ")
    terminal.type("wh\t\r")
    terminal.wait_for("where\r\n")
    terminal.type("memory --for 60s\r")
    terminal.wait_for("60 s")
    began = time.monotonic()
    terminal.type("\x03")
    terminal.wait_for("> ", within_s=20)
    assert time.monotonic() - began < 30
    terminal.type("help ps\r")
    terminal.wait_for("usage: ps")
    terminal.type("quit\r")
    terminal.ended()

    assert "Connection closed by foreign host." in terminal.shown


@NC
def test_a_pipe_through_nc_gets_clean_json(anywhere: Consoled) -> None:
    """A pipe gets one document per line, without greeting, prompt or telnet bytes, over port and socket."""
    card = anywhere.card
    over_tcp = ["nc", "-q", "1", "127.0.0.1", str(card.port)]
    over_unix = ["nc", "-q", "1", "-U", card.socket]
    asked = "help --json\nnonsense --json\nps --json\nquit\n"

    for command, text in ((over_tcp, f"{card.token}\n{asked}"), (over_unix, asked)):
        done = subprocess.run(command, input=text.encode(), capture_output=True, timeout=20)
        helped, failed, listed = map(json.loads, done.stdout.decode().splitlines())
        assert helped["allowed"] == ["cancel", "slow"]
        assert failed["status"] == "usage"
        assert {"waiting-0", "waiting-1", "waiting-2"} <= {row["task"] for row in listed["rows"]}


def test_people_are_greeted_and_told_what_is_next(console: Consoled) -> None:
    """A client that does not send a line at once gets the banner, a prompt, and hints."""
    with console.connect() as client:
        greeting = client.wait_for("> ")
        client.send("help\n")
        answer = client.wait_for("> ")
        client.send("\n")
        assert client.wait_for("> ") == greeting.splitlines()[-1]

    assert f"console of pid {console.process.pid}" in greeting
    assert "reads only" in greeting
    assert "next: help COMMAND" in answer


def test_requests_are_answered_by_one_line_each(console: Consoled) -> None:
    """Each request gets one line with its status, and its text or document."""
    with console.connect() as client:
        text = client.request("help ps")
        document = client.request("ps --json --limit 1 --sort -task")
        wrong = client.request("ps --limit x")
        client.send('{"complete": "he"}\n{1]\n{"line": 3, "columns": "x"}\n')
        completed, lost, wrong_type = (json.loads(client.wait_for("\n")) for _ in range(3))

    assert (text["ok"], text["status"], text["text"][:9]) == (True, "ok", "usage: ps")
    assert [row["task"] for row in document["answer"]["rows"]] == ["waiting-2"]
    assert document["answer"]["total"] == 4
    assert (wrong["ok"], wrong["status"]) == (False, "usage")
    assert completed["completions"] == ["help"]
    assert lost["status"] == wrong_type["status"] == "usage"


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("hlep", "no command 'hlep'; did you mean help"),
        ("t", "t can be task, top, trace, tree"),
        ("ps --lmit 3", "unrecognized arguments: --lmit 3; see help ps"),
        ("where 'x", "no closing quotation; check the quotes"),
    ],
)
def test_a_line_that_cannot_be_understood(console: Consoled, line: str, said: str) -> None:
    """The answer says what is wrong with a line, and names similar commands."""
    answer = console.request(line)

    assert answer["status"] == "usage"
    assert said in answer["text"]


def test_the_beginning_of_a_name_is_enough(ask: Ask) -> None:
    """An unambiguous prefix finds its command."""
    assert ask("he --json") == ask("help --json")


def test_tables_are_filtered_sorted_and_cut(ask: Ask) -> None:
    """All tables share the options to filter, sort and page."""
    by_column = ask("ps --json --filter task=WAITING --sort -task")
    by_any = ask("ps --json --filter waiting-1")
    second = ask("ps --json --filter task=waiting --sort task --limit 1 --page 2")
    text = ask("ps --filter task=waiting --sort task --limit 2")

    assert [row["task"] for row in by_column["rows"]] == ["waiting-2", "waiting-1", "waiting-0"]
    assert [row["task"] for row in by_any["rows"]] == ["waiting-1"]
    assert ([row["task"] for row in second["rows"]], second["total"]) == (["waiting-1"], 3)
    assert text.splitlines()[-1] == "1 to 2 of 3 rows; use --page, --limit or --filter for others"


def test_what_is_not_allowed_is_refused_and_put_down(console: Consoled) -> None:
    """A refusal names the missing option and is recorded; reading commands are counted."""
    refused = console.request("cancel waiting-1")
    console.ask("ps")

    assert refused["status"] == "refused"
    assert refused["text"] == "not allowed here: the console was opened without --allow cancel"
    assert console.ask("ps --json --filter waiting-1")["total"] == 1
    listed = wait(lambda: [e for e in console.events(ConsoleAudited) if e.line])
    assert [(e.line, e.outcome) for e in listed] == [("cancel waiting-1", refused["text"])]

    def latest() -> list[ConsoleCounted]:
        found = console.events(ConsoleCounted)
        return [event for event in found if event.commands == {"cancel": 1, "ps": 2}]

    counted = wait(latest)[-1]
    assert 0 < counted.cpu_ns < counted.process_cpu_ns


def test_what_is_done_is_put_down_with_who_did_it(anywhere: Consoled) -> None:
    """An action is recorded with the client's uid and pid."""
    assert anywhere.request("cancel waiting-1")["ok"]

    (done,) = wait(lambda: [e for e in anywhere.events(ConsoleAudited) if e.line])
    assert (done.line, done.outcome) == ("cancel waiting-1", "done")
    assert done.client.startswith("uid ")


def test_a_command_that_raises(console: Consoled) -> None:
    """An exception in a command is reported to its client, and session and service go on."""
    console.ask("help")
    console.do("sys.modules['_harness_inside.console.commands.help'].HelpCommand.run = lambda *_: 1 / 0")
    failed = wait(lambda: [answer] if not (answer := console.request("help"))["ok"] else [])[0]

    assert failed["status"] == "failed"
    assert failed["text"].startswith("ZeroDivisionError: division by zero (in ")
    assert console.ask("ps --json")["total"] == 4
    assert is_alive(console)


def test_while_the_loop_is_blocked_it_answers(anywhere: Consoled) -> None:
    """`status` and `blocks` answer at once and name the blocking line."""
    anywhere.do("time.sleep(5)")
    began = time.monotonic()
    wait(lambda: [row for row in anywhere.ask("blocks --json")["rows"] if not row["ended"]])
    status = anywhere.ask("status")

    assert time.monotonic() - began < 4.5
    assert "LATE" in status
    assert "<string>:1" in status or "program.py" in status


def test_the_client_after_the_last_is_told(console: Consoled) -> None:
    """A client over the limit is refused; when another one leaves, there is room again."""
    clients = []
    for _ in range(CLIENTS):
        # Asked at once: a client that says nothing for a moment is greeted.
        clients.append(console.connect())
        assert clients[-1].request("help")["ok"]
    with console.connect() as late:
        assert late.rest() == f"{CLIENTS} clients are connected already\n".encode()
    clients.pop().channel.close()

    assert wait(lambda: is_served(console))
    for client in clients:
        client.channel.close()


def test_who_waits_at_the_door_keeps_nobody_out(anywhere: Consoled) -> None:
    """Connections without a token do not count towards the limit of clients."""
    idle = [socket.create_connection(("127.0.0.1", anywhere.card.port)) for _ in range(30)]
    try:
        assert anywhere.request("help")["ok"]
    finally:
        for channel in idle:
            channel.close()
    assert is_alive(anywhere)


def test_http_is_cut_off_without_an_answer(anywhere: Consoled) -> None:
    """An HTTP request gets no answer, and the refusal is recorded."""
    with anywhere.connect(tcp=True) as client:
        client.send("GET /?token=x HTTP/1.1\r\nHost: evil.example\r\n\r\n")

        assert client.rest() == b""
    assert wait(lambda: "refused: HTTP" in outcomes(anywhere))
    assert anywhere.request("help")["ok"]


@pytest.mark.parametrize(
    "change", [lambda t: t[:-1], lambda t: t[:4], lambda t: t + "x", lambda t: t.upper(), str]
)
def test_only_the_whole_token_is_one(anywhere: Consoled, change: Callable[[str], str]) -> None:
    """A part of it, and one with more after it, are wrong; the token itself is the control."""
    token = anywhere.card.token
    with anywhere.connect(tcp=True) as client:
        client.send(f"{change(token)}\nquit\n")
        answer = client.rest()

    assert answer.startswith(b"wrong token") == (change(token) != token)


def test_nobody_else_can_reach_the_console(anywhere: Consoled) -> None:
    """Socket and card are for their owner alone, and the port listens on loopback only."""
    opened = wait(lambda: anywhere.events(ConsoleOpened))[0]
    addresses = [line.split()[1] for line in Path("/proc/net/tcp").read_text().splitlines()]

    for path in (anywhere.card.socket, opened.card):
        assert stat.S_IMODE(Path(path).stat().st_mode) == 0o600, path
    assert {address for address in addresses if address.endswith(f":{opened.port:04X}")} == {
        f"0100007F:{opened.port:04X}"  # 127.0.0.1
    }


def test_a_token_cannot_be_guessed(anywhere: Consoled) -> None:
    """Each wrong token is answered late, and after several the port refuses clients for a second."""
    for _ in range(10):
        guessers = [anywhere.connect(tcp=True) for _ in range(TRIES_PER_S)]
        began = time.monotonic()
        for number, guesser in enumerate(guessers):
            guesser.send(f"{number:032x}\n")
        answers = {guesser.rest() for guesser in guessers}
        with anywhere.connect(tcp=True) as late:
            late.send(f"{anywhere.card.token}\nquit\n")
            closed = late.rest()
        took_s = time.monotonic() - began
        for guesser in guessers:
            guesser.channel.close()

        assert answers <= {b"wrong token\n", b"too many wrong tokens\n"}
        assert took_s >= WRONG_S
        if took_s < 1:  # on a busy machine the second may be over before it is tried
            break
    assert closed.startswith(b"too many wrong tokens")
    with anywhere.connect() as client:
        assert client.request("help")["ok"]


def test_a_long_line_is_dropped_and_the_connection_goes_on(console: Consoled) -> None:
    """A line of 300 kB is refused, and the next line is answered."""
    with console.connect() as client:
        client.send(b"x" * 300_000 + b"\nhelp gc\n")

        assert client.wait_for("\n") == f"a line has at most {LINE_BYTES:,} bytes; this one was dropped\n"
        assert client.wait_for("usage: gc")


def test_noise_and_resets_do_no_harm(anywhere: Consoled) -> None:
    """Random bytes, resets and concurrent clients do not harm the service."""
    dice = random.Random(3)
    for tcp in [True, False] * 15:
        # A client that sends so many invalid lines is disconnected, perhaps while it still sends.
        with anywhere.connect(tcp=tcp) as client, suppress(OSError):
            # Close by reset: data in transit is lost.
            client.channel.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            client.send(f"{anywhere.card.token}\n" if tcp else "\n")
            client.send(dice.randbytes(5_000) + b"\n")
            client.send("ps\n" * 20)
    wait(lambda: is_served(anywhere))  # the clients above are gone
    with anywhere.connect() as one, anywhere.connect() as other:
        answers = [client.request("ps --json")["answer"]["total"] for client in (one, other, one, other)]

    assert answers == [4, 4, 4, 4]
    assert is_alive(anywhere)


def test_what_is_no_conversation_is_ended(console: Consoled) -> None:
    """A client that sends only invalid lines is disconnected."""
    with console.connect() as client:
        client.send("".join(f"X-Header-{n}: value\n" for n in range(100)))

        assert client.rest().endswith(b"no valid command in 20 lines: closing\n")


def test_names_cannot_change_a_terminal(console: Consoled) -> None:
    """Escape sequences in a task's name are replaced."""
    console.do("waiting.append(asyncio.create_task(wait_for_ever(), name='evil\\x1b[2J'))")
    wait(lambda: console.ask("ps --json")["total"] == 5)

    assert "\x1b" not in console.ask("ps")
    assert "evil\ufffd[2J" in console.ask("ps")


def test_the_console_goes_with_the_program(console: Consoled) -> None:
    """At the program's end, clients are disconnected and no file is left."""
    with console.connect() as client:
        client.request("help")
        console.process.stdin.close()
        assert client.rest() == b""
        console.process.wait(timeout=20)

    assert not list(Path(console.card.socket).parent.iterdir())


def test_the_program_sees_no_thread_of_the_console(anywhere: Consoled) -> None:
    """`threading.enumerate` shows no thread of the console or of its clients."""
    with anywhere.connect() as client:
        client.request("ps")
        anywhere.do("global names; names = [t.name for t in threading.enumerate()]")
        anywhere.do("waiting.append(asyncio.create_task(wait_for_ever(), name='|'.join(sorted(names))))")
        rows = wait(lambda: anywhere.ask("ps --json --filter MainThread")["rows"])

    names = rows[0]["task"].split("|")
    assert [name for name in names if not name.endswith(("_0", "_1"))] == ["MainThread"]  # and the executor's


def outcomes(console: Consoled) -> list[str]:
    return [event.outcome for event in console.events(ConsoleAudited)]


def is_served(console: Consoled) -> bool:
    """Whether there is room for one more client."""
    with console.connect() as client, suppress(OSError):
        client.send('{"line": "help"}\n')
        return client.wait_for("\n").startswith('{"ok":true')
    return False
