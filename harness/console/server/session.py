"""One client's session: line by line, until the client leaves or is idle.

A line that begins with ``{`` is a program's request, ``{"line": "top --json", "columns": 120}``, and its
answer is one line of JSON. With ``"talks": true``, messages may precede it: ``{"heard": true}`` at once,
``{"say": ...}``, and ``{"ask": ...}``, which the client answers with ``{"input": ...}``.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field

from ...probe.hooks.state.thread_state import forget_this_thread
from ...record.clock import monotonic
from ..protocol import registry, table
from ..protocol.command import ACTS, READS, Command
from ..protocol.errors import CommandError, OptionError
from ..protocol.option import HelpRequested, flags, parse
from ..protocol.result import CommandResult
from ..sanitize import printable
from ..view.hang_news import HangNews
from ..view.process import ProcessView
from .access_log import AccessLog
from .connection import LINE_BYTES, Connection, GoneError, TooLongError

IDLE_S = 15 * 60.0
# A client that sends a line sooner than this is a program, and gets neither greeting nor prompt.
GREETING_S = 0.2
# This many invalid lines in a row come from a client that mistakes this for another service.
INVALID_LINES = 20
# The width of a terminal that telnet does not report.
COLUMNS = 120
COMPLETIONS = 100

OK, FAILED, REFUSED, USAGE = "ok", "failed", "refused", "usage"


@dataclass(frozen=True, slots=True)
class LineResult:
    """The result of a line: text for users, and JSON if the line requested it."""

    status: str
    text: str
    json: str = ""
    hint: str = ""
    ends_session: bool = False

    def __str__(self) -> str:
        return self.json or self.text


@dataclass(slots=True)
class ConsoleSession:
    """One client's session, in the client's own thread."""

    connection: Connection
    client: str  # its name in the record
    greeting: Callable[[ProcessView], Iterable[str]]  # the lines for a user who connects
    prompt: str
    process: ProcessView
    access_log: AccessLog
    idle_s: float = IDLE_S
    is_interactive: bool = field(default=False, init=False)
    _invalid: int = field(default=0, init=False)  # lines in a row
    _news: HangNews = field(init=False)

    def __post_init__(self) -> None:
        self._news = HangNews(self.process)

    def run(self) -> None:
        """Serve the client until either side ends the session.

        Raises:
            GoneError: The client has disconnected.
        """
        self._greet()
        while self._invalid < INVALID_LINES:
            try:
                line = self.connection.read_line(within_s=self.idle_s)
            except TooLongError:
                self._invalid += 1
                self.send_line(f"a line has at most {LINE_BYTES:,} bytes; this one was dropped")
                continue
            except TimeoutError:
                self.send_line(f"idle for {self.idle_s / 60:g} minutes: closing")
                return
            if not self._handle(line):
                return
            self._send_prompt()
        self.send_line(f"no valid command in {INVALID_LINES} lines: closing")

    def send_line(self, line: str) -> None:
        """Send one line.

        Raises:
            GoneError: The client has left, or does not read.
        """
        self.connection.send(line + "\n")

    def _greet(self) -> None:
        deadline_s = monotonic() + GREETING_S
        while not self.connection.has_input and (left_s := deadline_s - monotonic()) > 0:
            self.connection.receive(within_s=left_s)
        self.is_interactive = not self.connection.has_input
        if self.is_interactive:
            try:
                for line in self.greeting(self.process):
                    self.send_line(printable(line))
            except GoneError:
                raise
            except BaseException as exc:  # even `SystemExit` or `CancelledError` must not end this thread
                self.send_line(printable(f"what was found so far cannot be told: {_describe(exc)}"))
            finally:
                forget_this_thread()
            self._send_prompt()

    def _send_prompt(self) -> None:
        if self.is_interactive and not self.connection.has_more:
            for line in self._news.lines():
                self.send_line(f"! {printable(line)}")
            self.connection.send(self.prompt)

    def _handle(self, line: str) -> bool:
        """Answer one line; false when the client leaves."""
        if (start := _to_complete(line)) is not None:
            self.send_line("  ".join(self._completions(start)) or "no completions")
            return True
        line = line.strip()
        if line.startswith("{"):
            return self._handle_request(line)
        if not line or line == "\x04":  # the end of input, as a terminal sends it
            return not line
        result = self._execute(line, _LineClient(self, wants_json=_wants_json(line)), columns=COLUMNS)
        if str(result):
            self.send_line(str(result))
        if result.hint and self.is_interactive and not result.json:
            self.send_line(f"next: {result.hint}")
        return not result.ends_session

    def _handle_request(self, line: str) -> bool:
        try:
            request = json.loads(line)
            start = request.get("complete")
            text = str(request["line"] if start is None else start)
            columns = max(20, min(int(request.get("columns", COLUMNS)), 1_000))
            streams = bool(request.get("talks"))
        except (ValueError, TypeError, KeyError, RecursionError):
            self._invalid += 1
            self.send_line(_json({"ok": False, "status": USAGE, "text": 'expected {"line": "COMMAND"}'}))
            return True
        if start is not None:
            self.send_line(_json({"ok": True, "status": OK, "completions": self._completions(text)}))
            return True
        if streams:
            # A client that waits for a long command's answer now knows that the process responds.
            self.send_line(_json({"heard": True}))
        client = _RequestClient(self, streams=streams)
        result = self._execute(text, client, columns=columns)
        answer: dict[str, object] = {"ok": result.status == OK, "status": result.status}
        answer |= {"said": client.lines} if client.lines else {}
        answer |= {"hint": result.hint} if result.hint else {}
        if streams and (news := self._news.lines()):
            answer["news"] = [printable(line) for line in news]
        answer |= {"leaves": True} if result.ends_session else {}
        body = f'"answer":{result.json}' if result.json else f'"text":{_json(result.text)}'
        self.send_line(f"{_json(answer)[:-1]},{body}}}")
        return not result.ends_session

    def _completions(self, start: str) -> list[str]:
        """The possible completions of the last word of *start*."""
        before, _, part = start.lstrip().rpartition(" ")
        words = before.split()
        if not words:
            return [name for name in (*registry.names(), *registry.LEAVE) if name.startswith(part)]
        try:
            command = registry.find(words[0])
            fitting = flags(command) if part.startswith("-") else command.candidates(self.process)
            return [word for word in fitting if word.startswith(part)][:COMPLETIONS]
        except Exception:
            return []  # the line itself will report the error

    def _execute(self, line: str, client: _LineClient, *, columns: int) -> LineResult:
        """Carry out a line; an error in it, or while it runs, becomes its result."""
        self.connection.drop_earlier_interrupt()  # it had no command to end
        command: Command | None = None
        needs = READS
        try:
            name, _, rest = line.strip().partition(" ")
            if name in registry.LEAVE:
                return LineResult(OK, "", ends_session=True)
            command = registry.find(name)
            words = rest.split(" ") if command.is_verbatim else _words(rest)
            options = parse(command, words, columns=columns)
            needs = command.needs(options)
            if needs not in (READS, ACTS) and needs not in self.process.allowed:
                raise CommandError(f"not allowed here: the console was opened without --allow {needs}")
            client.acts = needs != READS
            found = command.run(options, self.process, client)
            shown = table.select(found.rows, options) if found.rows else None
            result = _succeeded(found, shown, as_json=options.json, columns=columns)
        except HelpRequested as exc:
            result = LineResult(OK, str(exc))
        except OptionError as exc:
            result = _failed(USAGE, str(exc), as_json=_wants_json(line))
        except CommandError as exc:
            result = _failed(REFUSED, str(exc), as_json=_wants_json(line))
        except BaseException as exc:  # even `SystemExit` or `CancelledError` must not end this thread
            result = _failed(FAILED, _describe(exc), as_json=_wants_json(line))
        finally:
            forget_this_thread()
        self._invalid = 0 if command is not None else self._invalid + 1
        if command is not None:
            self.access_log.count(command.name)
        if needs != READS:
            self.access_log.acted(self.client, line, "done" if result.status == OK else result.text[:200])
        return result


class _LineClient:
    """The `CommandClient` of a typed line."""

    def __init__(self, session: ConsoleSession, *, wants_json: bool) -> None:
        self.acts = False
        self._session = session
        self._wants_json = wants_json

    def send_line(self, line: str) -> None:
        if not self._wants_json:
            with suppress(GoneError):
                self._session.send_line(printable(line))

    def read_line(self, prompt: str) -> str | None:
        session = self._session
        try:
            if session.is_interactive:
                session.connection.send(prompt)
            line = session.connection.read_line(within_s=session.idle_s)
        except (GoneError, TimeoutError, TooLongError):
            return None
        return self._logged(line)

    def wait_gone(self, *, within_s: float) -> bool:
        session, deadline_s = self._session, monotonic() + within_s
        while not session.process.closing.is_set() and not session.connection.take_interrupt():
            left_s = deadline_s - monotonic()
            if left_s <= 0:
                return False
            # A pipe has ended its input long before its answer comes; a user who ends it has left.
            has_hung_up = session.connection.receive(within_s=left_s)
            if has_hung_up or (session.is_interactive and session.connection.has_ended):
                return True
        return True

    def _logged(self, line: str) -> str:
        self._session.connection.drop_earlier_interrupt()  # it dropped a line, and must not end this one
        if self.acts:
            self._session.access_log.acted(self._session.client, line, "read")
        return line


class _RequestClient(_LineClient):
    """The `CommandClient` of a program's request."""

    def __init__(self, session: ConsoleSession, *, streams: bool) -> None:
        super().__init__(session, wants_json=False)
        self.lines: list[str] = []
        self._streams = streams

    def send_line(self, line: str) -> None:
        if not self._streams:
            self.lines.append(printable(line))
            return
        with suppress(GoneError):
            self._session.send_line(_json({"say": printable(line)}))

    def read_line(self, prompt: str) -> str | None:
        if not self._streams:
            return None
        session = self._session
        try:
            session.send_line(_json({"ask": prompt}))
            line = json.loads(session.connection.read_line(within_s=session.idle_s))["input"]
        except (GoneError, TimeoutError, TooLongError, ValueError, KeyError, TypeError):
            return None
        return None if line is None else self._logged(str(line))


def _succeeded(found: CommandResult, shown: table.Table | None, *, as_json: bool, columns: int) -> LineResult:
    status = FAILED if found.failed else OK
    if as_json:
        error = {"error": " ".join(found.lines)} if found.failed else {}
        return LineResult(status, " ".join(found.lines), _document({**error, **found.data}, shown))
    lines = [printable(line) for line in found.lines]
    if shown is not None:
        lines += table.lines(shown, width=columns)
        lines += filter(None, [table.note(shown)])
    return LineResult(status, "\n".join(lines), hint=printable(found.hint))


def _failed(status: str, why: str, *, as_json: bool) -> LineResult:
    return LineResult(status, printable(why), _json({"error": why, "status": status}) if as_json else "")


def _document(data: Mapping[str, object], shown: table.Table | None) -> str:
    """*data* and the rows as one line of JSON.

    Row by row: one call of the encoder for ten thousand rows would hold the GIL, and so delay the loop.
    """
    if shown is None:
        return _json(data)
    rows = ",".join(_json(dict(zip(shown.columns, row, strict=True))) for row in shown.rows)
    return f'{_json({**data, "total": shown.total})[:-1]},"rows":[{rows}]}}'


def _json(value: object) -> str:
    return json.dumps(value, default=lambda item: repr(item)[:200], separators=(",", ":"))


def _wants_json(line: str) -> bool:
    return "--json" in line.split()


def _words(text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError as exc:
        raise OptionError(f"{exc}; check the quotes".lower()) from None


def _to_complete(line: str) -> str | None:
    """The text before a Tab, or before `` ?`` at the end; `None` for a line with neither."""
    start, tab, _ = line.partition("\t")
    if tab and not line.lstrip().startswith("{"):
        return start
    line = line.rstrip()
    return line[:-1] if line == "?" or line.endswith(" ?") else None


def _describe(error: BaseException) -> str:
    text = f"{type(error).__name__}: {error}"[:500]
    at = error.__traceback__
    while at is not None and at.tb_next is not None:
        at = at.tb_next
    return text if at is None else f"{text} (in {at.tb_frame.f_code.co_filename}:{at.tb_lineno})"
