"""One client's conversation: line by line, until it leaves or is idle.

A line that begins with ``{`` is a program's request, ``{"line": "top --json", "columns": 120}``, and is
answered by one line of JSON. With ``"talks": true``, others come before that one: ``{"heard": true}`` at
once, ``{"say": ...}``, and ``{"ask": ...}``, which the client answers with ``{"input": ...}``.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field

from ...record.clock import monotonic
from ..protocol import registry, table
from ..protocol.command import ACTS, READS, Command
from ..protocol.errors import CommandError, OptionError
from ..protocol.option import HelpAsked, parse, parser
from ..protocol.result import CommandResult
from ..sanitize import printable
from ..threads import forget_thread
from ..view.process import ProcessView
from .access_log import AccessLog
from .connection import LINE_BYTES, Connection, GoneError, TooLongError

IDLE_S = 15 * 60.0
# Whoever sends the next line faster than this is no person, and gets neither greeting nor prompt.
GREETING_S = 0.2
# So many in a row come from something that takes this for another service.
NONSENSE = 20
# A telnet does not say how wide its terminal is.
COLUMNS = 120
COMPLETIONS = 100

OK, FAILED, REFUSED, USAGE = "ok", "failed", "refused", "usage"


@dataclass(frozen=True, slots=True)
class LineResult:
    """What came of one line: for people, or as JSON when that was asked for."""

    status: str
    text: str
    json: str = ""
    hint: str = ""
    leaves: bool = False

    def __str__(self) -> str:
        return self.json or self.text


@dataclass(slots=True)
class ConsoleSession:
    """One client's, in a thread of its own."""

    wire: Connection
    who: str  # as the record names the client
    banner: str
    prompt: str
    service: ProcessView
    audit: AccessLog
    idle_s: float = IDLE_S
    is_person: bool = field(default=False, init=False)
    _nonsense: int = field(default=0, init=False)

    def run(self) -> None:
        """Talk until one of the two has had enough.

        Raises:
            GoneError: That is the client, without a word.
        """
        self._greet()
        while self._nonsense < NONSENSE:
            try:
                line = self.wire.line(within_s=self.idle_s)
            except TooLongError:
                self._nonsense += 1
                self.tell(f"a line has at most {LINE_BYTES:,} bytes; this one was dropped")
                continue
            except TimeoutError:
                self.tell(f"nothing was asked for {self.idle_s / 60:g} minutes: closing")
                return
            if not self._hear(line):
                return
            self._ask_for_more()
        self.tell("these are no commands: closing")

    def tell(self, line: str) -> None:
        """Send one line.

        Raises:
            GoneError: The client has left, or does not read.
        """
        self.wire.send(line + "\n")

    def _greet(self) -> None:
        deadline_s = monotonic() + GREETING_S
        while not self.wire.has_input and (left_s := deadline_s - monotonic()) > 0:
            self.wire.take_in(within_s=left_s)
        self.is_person = not self.wire.has_input
        if self.is_person:
            self.tell(self.banner)
            self._ask_for_more()

    def _ask_for_more(self) -> None:
        if self.is_person and not self.wire.has_more:
            self.wire.send(self.prompt)

    def _hear(self, line: str) -> bool:
        """Answer one line; false when the client leaves."""
        if (start := _to_complete(line)) is not None:
            self.tell("  ".join(self._completions(start)) or "nothing fits")
            return True
        line = line.strip()
        if line.startswith("{"):
            return self._hear_request(line)
        if not line or line == "\x04":  # the end of input, as a terminal types it
            return not line
        outcome = self._carry_out(line, _Spoken(self, wants_json=_wants_json(line)), columns=COLUMNS)
        if str(outcome):
            self.tell(str(outcome))
        if outcome.hint and self.is_person and not outcome.json:
            self.tell(f"next: {outcome.hint}")
        return not outcome.leaves

    def _hear_request(self, line: str) -> bool:
        try:
            request = json.loads(line)
            start = request.get("complete")
            asked = str(request["line"] if start is None else start)
            columns = max(20, min(int(request.get("columns", COLUMNS)), 1_000))
            talks = bool(request.get("talks"))
        except (ValueError, TypeError, KeyError, RecursionError):
            self._nonsense += 1
            self.tell(_json({"ok": False, "status": USAGE, "text": 'expected {"line": "COMMAND"}'}))
            return True
        if start is not None:
            self.tell(_json({"ok": True, "status": OK, "completions": self._completions(asked)}))
            return True
        if talks:
            # Who waits for the answer of a long command knows now that the process is well.
            self.tell(_json({"heard": True}))
        client = _Requested(self, talks=talks)
        outcome = self._carry_out(asked, client, columns=columns)
        answer: dict[str, object] = {"ok": outcome.status == OK, "status": outcome.status}
        answer |= {"said": client.said} if client.said else {}
        answer |= {"hint": outcome.hint} if outcome.hint else {}
        answer |= {"leaves": True} if outcome.leaves else {}
        result = f'"answer":{outcome.json}' if outcome.json else f'"text":{_json(outcome.text)}'
        self.tell(f"{_json(answer)[:-1]},{result}}}")
        return not outcome.leaves

    def _completions(self, start: str) -> list[str]:
        """What the last word of *start* can become."""
        before, _, part = start.lstrip().rpartition(" ")
        words = before.split()
        if not words:
            return [name for name in (*registry.names(), *registry.LEAVE) if name.startswith(part)]
        try:
            command = registry.find(words[0])
            if part.startswith("-"):
                fitting = list(parser(command, columns=COLUMNS)._option_string_actions)
            else:
                fitting = list(command.candidates(self.service))
        except Exception:
            return []  # whoever is lost already finds no way on here; the line itself will say why
        return [word for word in fitting if word.startswith(part)][:COMPLETIONS]

    def _carry_out(self, line: str, client: _Spoken | _Requested, *, columns: int) -> LineResult:
        """Do what a line asks for; whatever is wrong with it, or happens in it, is the outcome."""
        self.wire.is_interrupted()  # an earlier Ctrl-C had nothing to end
        command: Command | None = None
        needs = READS
        try:
            name, _, rest = line.strip().partition(" ")
            if name in registry.LEAVE:
                return LineResult(OK, "", leaves=True)
            command = registry.find(name)
            words = rest.split(" ") if command.is_verbatim else _words(rest)
            options = parse(command, words, columns=columns)
            needs = command.needs(options)
            self._permit(needs)
            client.acts = needs != READS
            answer = command.run(options, self.service, client)
            chosen = table.select(answer.rows, options) if answer.rows else None
            outcome = _answered(answer, chosen, as_json=options.json, columns=columns)
        except HelpAsked as exc:
            outcome = LineResult(OK, str(exc))
        except OptionError as exc:
            outcome = _failed(USAGE, str(exc), as_json=_wants_json(line))
        except CommandError as exc:
            outcome = _failed(REFUSED, str(exc), as_json=_wants_json(line))
        except BaseException as exc:  # `SystemExit`, or a cancelled future's: not to end this thread
            outcome = _failed(FAILED, _in_words(exc), as_json=_wants_json(line))
        finally:
            forget_thread()
        self._nonsense = 0 if command is not None else self._nonsense + 1
        if command is not None:
            self.audit.asked(command.name)
        if needs != READS:
            self.audit.acted(self.who, line, "done" if outcome.status == OK else outcome.text[:200])
        return outcome

    def _permit(self, needs: str) -> None:
        if needs not in (READS, ACTS) and needs not in self.service.allowed:
            raise CommandError(f"not allowed here: the console was opened without --allow {needs}")


class _Spoken:
    """Who typed the line, for its command."""

    def __init__(self, session: ConsoleSession, *, wants_json: bool) -> None:
        self.acts = False
        self._session = session
        self._wants_json = wants_json

    def say(self, line: str) -> None:
        if not self._wants_json:
            with suppress(GoneError):
                self._session.tell(printable(line))

    def read(self, prompt: str) -> str | None:
        session = self._session
        try:
            if session.is_person:
                session.wire.send(prompt)
            line = session.wire.line(within_s=session.idle_s)
        except (GoneError, TimeoutError, TooLongError):
            return None
        return self._heard(line)

    def has_left(self, *, within_s: float) -> bool:
        session, deadline_s = self._session, monotonic() + within_s
        while not session.service.closing.is_set() and not session.wire.is_interrupted():
            left_s = deadline_s - monotonic()
            if left_s <= 0:
                return False
            # A pipe has ended its input long before its answer comes; a person who does that has left.
            if session.wire.take_in(within_s=left_s) or (session.is_person and session.wire.has_ended):
                return True
        return True

    def _heard(self, line: str) -> str:
        self._session.wire.is_interrupted()  # a Ctrl-C gave up a line, and not what this one begins
        if self.acts:
            self._session.audit.acted(self._session.who, line, "read")
        return line


class _Requested(_Spoken):
    """The program that sent a request."""

    def __init__(self, session: ConsoleSession, *, talks: bool) -> None:
        super().__init__(session, wants_json=False)
        self.said: list[str] = []
        self._talks = talks

    def say(self, line: str) -> None:
        if not self._talks:
            self.said.append(printable(line))
            return
        with suppress(GoneError):
            self._session.tell(_json({"say": printable(line)}))

    def read(self, prompt: str) -> str | None:
        if not self._talks:
            return None
        session = self._session
        try:
            session.tell(_json({"ask": prompt}))
            line = json.loads(session.wire.line(within_s=session.idle_s))["input"]
        except (GoneError, TimeoutError, TooLongError, ValueError, KeyError, TypeError):
            return None
        return None if line is None else self._heard(str(line))


def _answered(
    answer: CommandResult, chosen: table.Table | None, *, as_json: bool, columns: int
) -> LineResult:
    status = FAILED if answer.failed else OK
    if as_json:
        error = {"error": " ".join(answer.lines)} if answer.failed else {}
        return LineResult(status, " ".join(answer.lines), _document({**error, **answer.data}, chosen))
    lines = [printable(line) for line in answer.lines]
    if chosen is not None:
        lines += table.lines(chosen, width=columns)
        lines += filter(None, [table.note(chosen)])
    return LineResult(status, "\n".join(lines), hint=printable(answer.hint))


def _failed(status: str, why: str, *, as_json: bool) -> LineResult:
    return LineResult(status, printable(why), _json({"error": why, "status": status}) if as_json else "")


def _document(data: Mapping[str, object], chosen: table.Table | None) -> str:
    """*data* and the rows as one line of JSON.

    Row by row: ten thousand of them in one call of the encoder would hold the GIL, and so the loop.
    """
    if chosen is None:
        return _json(data)
    rows = ",".join(_json(dict(zip(chosen.columns, row, strict=True))) for row in chosen.rows)
    return f'{_json({**data, "total": chosen.total})[:-1]},"rows":[{rows}]}}'


def _json(value: object) -> str:
    return json.dumps(value, default=lambda item: repr(item)[:200], separators=(",", ":"))


def _wants_json(line: str) -> bool:
    return "--json" in line.split()


def _words(text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError as exc:
        raise OptionError(f"{exc}; quotes come in pairs".lower()) from None


def _to_complete(line: str) -> str | None:
    """What stands before a Tab, or before `` ?`` at the end; `None` for a line with neither."""
    start, tab, _ = line.partition("\t")
    if tab and not line.lstrip().startswith("{"):
        return start
    line = line.rstrip()
    return line[:-1] if line == "?" or line.endswith(" ?") else None


def _in_words(error: BaseException) -> str:
    text = f"{type(error).__name__}: {error}"[:500]
    at = error.__traceback__
    while at is not None and at.tb_next is not None:
        at = at.tb_next
    return text if at is None else f"{text} (in {at.tb_frame.f_code.co_filename}:{at.tb_lineno})"
