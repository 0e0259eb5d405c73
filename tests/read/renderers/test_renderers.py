"""What the renderers make of a document."""

from __future__ import annotations

import io
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from rich.console import Console

from harness.errors import UsageError
from harness.read import terminal
from harness.read.formats import names, publish, render
from harness.read.renderers import html
from harness.read.report import Report
from harness.record import event, value
from harness.record.event import Frame
from harness.stacks.formats import SPEEDSCOPE_SCHEMA as SCHEMA
from tests.read.conftest import LOOP_PID, Full, Look, Record

HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>|`\x1b[31m"
VENDOR = Path(html.__file__).parent / "vendor"


class Page(HTMLParser):
    """The text of a page by element, and every attribute that could load something."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.path: list[str] = []
        self.texts: dict[str, str] = {}
        self.loads: list[str | None] = []
        self.tags: list[str] = []
        self.handlers: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.loads += [
            v for k, v in attrs if k in ("src", "href", "srcset", "data", "action") and (v or "")[:1] != "#"
        ]
        self.handlers += [k for k, _ in attrs if k.startswith("on")]
        if tag not in ("meta", "br", "img"):
            self.path.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag in self.path:
            while self.path.pop() != tag:
                pass

    def handle_data(self, data: str) -> None:
        if self.path:
            self.texts[self.path[-1]] = self.texts.get(self.path[-1], "") + data


@pytest.fixture
def quiet(record: Record) -> Report:
    """A run with nothing wrong."""
    made = record(expectations=[("blocks.count", "==", 0)])
    made.loop(turns_ms=[1.2] * 3000)
    made.ended()
    return made.document()


def shown(document: Report, *, width: int | None = None, report: Path | None = None) -> str:
    """What a terminal of that width shows, without colours; without a width, what a pipe gets."""
    out = io.StringIO()
    console = Console(file=out, width=width, force_terminal=width is not None, color_system=None)
    terminal.show(document, console, report=report)
    return out.getvalue()


def test_the_verdict_is_the_same_sentence_everywhere(full: Full, quiet: Report) -> None:
    """The heading of the page, the JSON field and the first line of the terminal."""
    for document in (full().document(), quiet):
        page = Page(render(document, "html"))

        assert page.texts["h1"] == json.loads(render(document, "json"))["run"]["verdict"]
        sentence = document.run.verdict.removeprefix("Failed: ")  # the outcome stands before it already
        assert shown(document).startswith(f"{document.run.outcome} {sentence}\n")


def test_the_page_loads_nothing(full: Full) -> None:
    """No attribute and no style rule of the page names anything outside of it."""
    text = render(full().document(), "html")
    page = Page(text)

    assert page.loads == []
    vendored = (VENDOR / "uplot.js").read_text()  # its banner names its home
    assert not re.search(r"https?://|@import|url\(", text.replace(vendored, "").replace(SCHEMA, ""))
    assert "default-src 'none'" in text


def test_names_from_the_target_are_text(full: Full) -> None:
    """Markup in the names of tasks and spans makes no element, no handler and no script."""
    page = Page(render(full("hostile", hostile=HOSTILE).document(), "html"))
    plain = Page(render(full("plain").document(), "html"))

    assert "img" not in page.tags
    assert page.handlers == []
    assert page.tags.count("script") == plain.tags.count("script")
    assert "<script>alert(1)</script>" in page.texts["h1"]


def test_names_from_the_target_cannot_command_a_terminal(full: Full) -> None:
    """Escape sequences are shown, not obeyed; in Markdown they cannot leave their cell either."""
    document = full("hostile", hostile=HOSTILE).document()

    assert "\x1b" not in shown(document)
    assert "\\x1b[31m" in shown(document)
    markdown = render(document, "md")
    assert "\x1b" not in markdown
    assert "<script>" not in markdown.replace("\\<", "")


@pytest.mark.long
def test_a_thousand_blocks_stay_readable(full: Full) -> None:
    """The page stays under 500 kB, and says how many it left out; the JSON report has them all."""
    document = full("many", blocks=1000).document()
    text = render(document, "html")

    assert len(text.encode()) < 500_000
    assert text.count('<details id="block-') == 4
    assert "and 996 more, none of them longer" in text
    assert len(json.loads(render(document, "json"))["blocks"]) == 1000


def test_many_places_are_cut_with_their_number(record: Record, look: Look) -> None:
    """Twelve places on the page, eight on the terminal, ten in Markdown, and how many more there are."""
    made = record()
    made.loop()
    for n in range(30):
        made.blocked(n / 2, 150, [look(f"a.py:{n + 1} f{n}")])
    made.ended()
    document = made.document()

    html = render(document, "html")
    assert html.count('<article class="place"') == 12
    assert "and 18 more places with less time" in html
    assert "and 22 more places" in shown(document)
    assert "… and 20 more places." in render(document, "md")


def test_a_quiet_run_reads_as_one(quiet: Report) -> None:
    """Nothing blocked, the expectation is met, no load and no messages are made up."""
    page = render(quiet, "html")

    assert "Nothing: no turn of the loop took longer than 100 ms." in page
    assert "The expectation was met" in page
    assert "Latency p99" not in page
    assert "Messages" not in page
    assert "✓  blocks.count == 0: 0" in shown(quiet)


@pytest.mark.parametrize("name", ["html", "md"])
def test_an_empty_run_says_that_nothing_is_known(record: Record, name: str) -> None:
    """No figure is invented for a run of which only the start of the target is recorded."""
    made = record()
    made.write("runner", event.TargetStarted(made.at(0), LOOP_PID, ("python", "-m", "shop")))

    assert "never entered the program" in render(made.document(), name)


def test_the_source_around_a_blamed_line_is_shown_when_it_can_be_read(
    record: Record, look: Look, tmp_path: Path
) -> None:
    """Seven lines, the blamed one marked; nothing but Python source, and nothing when the file is gone."""
    source = tmp_path / "cart.py"
    source.write_text("".join(f"line_{n} = '<{n}>'\n" for n in range(1, 20)))
    secret = tmp_path / "secret.txt"
    secret.write_text("line_1 = 'secret'\n" * 20)
    made = record()
    made.loop()
    for number, file in enumerate((source, secret, tmp_path / "gone.py")):
        sample = look()
        frame = type(sample.stack[0])(str(file), 10, "total")
        made.blocked(number, 300, [type(sample)(0, 0, 1, (*sample.stack, frame), "t", "c", "", "", "")])
    made.ended()

    text = render(made.document(), "html")
    assert text.count("<pre") == 1
    assert '<span class="blamed"><i>10</i>line_10 = &#39;&lt;10&gt;&#39;</span>' in text
    assert "line_7" in text
    assert "line_6 " not in text
    assert "secret&#39;" not in text


def test_the_terminal_shows_what_it_rests_on(full: Full, tmp_path: Path) -> None:
    """The blockers, load and loop, each expectation with its value, the overhead, where the report is."""
    text = shown(full().document(), report=tmp_path / "report.html")

    assert "301 ms     115  socket.SocketIO.readinto <- Host.restart\n" in text
    through = "through Client.reboot (vendorsdk/client.py:210)"
    where = f"waiting for a socket at hosts.py:41 {through} in span restart host"
    assert where in " ".join(text.split())
    assert "✗  blocks.max_held_ms < 100 ms: 301 ms" in text
    assert "1,200 of 1,200 sent, 1,196 completed, 4 failed" in text
    assert "overhead  CPU ×1.028" in text
    assert str(tmp_path / "report.html") in text


@pytest.mark.parametrize("width", [80, 120])
def test_names_stay_whole_on_a_terminal(record: Record, look: Look, width: int) -> None:
    """A function, its file and the name of a span stand on one line each, beside their figures."""
    made = record()
    made.loop()
    place = "harness/mayhem/hosts/simulated.py:24"
    made.blocked(4.0, 300, [look(f"{place} SimulatedHost.restart", "lib/socket.py:706 SocketIO.readinto")])
    made.ended()

    text = shown(made.document(), width=width)
    lines = [line.rstrip() for line in text.splitlines()]
    assert "    1   300 ms       0  socket.SocketIO.readinto <- SimulatedHost.restart" in lines
    assert f"waiting for a socket at {place}" in " ".join(text.split())
    assert any(place in line for line in lines[2:])
    assert all(len(line) <= width for line in lines[1:])


def test_hints_stand_beside_what_they_are_for(record: Record, look: Look) -> None:
    """Everywhere with the section of the guide; on the terminal for the worst three, once if they agree."""
    made = record()
    made.loop()
    for n, held_ms in enumerate((500, 400, 300, 200)):
        call = ["lib/queue.py:171 Queue.get"] if n == 1 else ["lib/socket.py:978 getaddrinfo"]
        made.blocked(n, held_ms, [look(f"a.py:{n + 1} f{n}", *call)])
    made.ended()
    document = made.document()

    text = " ".join(shown(document).split())
    assert "hint f0, f2: Use await loop.getaddrinfo(...), which resolves in a thread." in text
    assert "See docs/blocking.md#dns hint f1: Use asyncio.Queue" in text
    assert "f3:" not in text
    page = Page(render(document, "html"))
    assert page.texts["b"].count("loop.getaddrinfo") == 3
    assert page.texts["code"].count("docs/blocking.md#queue") == 1
    assert page.texts["span"].count("waiting for DNS") == 3
    assert "- `f1`: Use asyncio.Queue; " in render(document, "md")
    assert "| waiting for a queue |" in render(document, "md")


def test_the_packages_frame_stands_beside_the_place(full: Full) -> None:
    """On the terminal, in Markdown and on the page."""
    document = full().document()

    frame = "Client.reboot (vendorsdk/client.py:210)"
    assert f"through {frame}" in " ".join(shown(document).split())
    assert f"`hosts.py:41` through `{frame}`" in render(document, "md")
    assert f"hosts.py:41<br>through {frame}</div>" in render(document, "html")


def test_an_unknown_format_lists_those_that_exist(quiet: Report) -> None:
    """A usage error, with the names in a note."""
    with pytest.raises(UsageError, match="no format 'checkstyle'") as raised:
        render(quiet, "checkstyle")

    assert raised.value.__notes__ == [f"There are: {', '.join(names())}."]


def test_publishing_writes_both_reports(full: Full) -> None:
    """`report.json` and `report.html` in the run's folder, and nothing left beside them."""
    made = full()
    document = made.document()

    assert publish(made.folder, document) == made.folder.path / "report.html"
    assert json.loads((made.folder.path / "report.json").read_text())["run"]["id"] == document.run.id
    assert sorted(p.name for p in made.folder.path.iterdir() if p.is_file()) == [
        "report.html",
        "report.json",
        "run.json",
    ]


def test_who_awaits_the_task_and_where_it_was_made_is_in_the_page(record: Record, look: Look) -> None:
    """When that is known; a block without has no such lines."""
    made = record()
    made.loop()
    sample = look("cart.py:41 Cart.total")
    known = value.replace(sample, awaited_by=("middle", "main"), created=(Frame("/srv/shop/app.py", 7, "f"),))
    made.blocked(4.0, 300, [known])
    page = render(made.document(), "html")

    assert '<dt>awaited by</dt><dd class="mono">middle, main</dd>' in page
    assert '<dt>created at</dt><dd class="mono">/srv/shop/app.py:7</dd>' in page

    other = record("other")
    other.loop()
    other.blocked(4.0, 300, [sample])
    page = render(other.document(), "html")

    assert "awaited by" not in page
    assert "made at" not in page
