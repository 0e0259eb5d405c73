"""The page as people use it: opened from a file in a browser, with mouse and keyboard, wide and narrow."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from harness.read.compare.comparison import comparison
from harness.read.compare.profile_diff import profile_diff
from harness.read.formats import publish
from harness.read.history import load
from harness.read.report import build
from harness.record import event
from tests.read.conftest import Full, Look, Record, Recording

if TYPE_CHECKING:
    from selenium.webdriver import Chrome

webdriver = pytest.importorskip("selenium.webdriver", reason="no selenium to drive a browser with")
CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")

pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine to open the page with"),
    pytest.mark.skipif(DRIVER is None, reason="no chromedriver on this machine to drive it by"),
    pytest.mark.slow,
]


# A trace of `full` that a block hurt, and so one of those that a report shows.
HURT = f"{401:032x}"


class Opened:
    """A page in the browser."""

    def __init__(self, driver: Chrome, path: Path) -> None:
        self.driver, self.path = driver, path
        for kind in ("browser", "performance"):  # what came before is of another page
            driver.get_log(kind)
        began = time.monotonic()
        driver.get(path.as_uri())
        self.took_s = time.monotonic() - began
        self.report = json.loads(path.with_suffix(".json").read_text())

    def run(self, script: str, *arguments: object) -> Any:
        """What the page answers to a script."""
        return self.driver.execute_script(script, *arguments)

    def press(self, *keys: str) -> None:
        """Press keys, one after the other, on what has the focus."""
        for key in keys:
            self.driver.switch_to.active_element.send_keys(key)

    def wait(self, script: str, *arguments: object) -> Any:
        """Wait until the page's answer is true."""
        end = time.monotonic() + 10
        while not (answer := self.run(script, *arguments)):
            assert time.monotonic() < end, script
        return answer

    def focused(self) -> Any:
        """What has the focus: its element's id, or that of the element around it that has one."""
        return self.run("return document.activeElement.closest('[id]')?.id")

    def complaints(self) -> list[str]:
        """What the browser wrote to its console, and what the page asked the network for."""
        messages = [json.loads(line["message"])["message"] for line in self.driver.get_log("performance")]
        asked = [m["params"] for m in messages if m["method"] == "Network.requestWillBeSent"]
        # The browser's own first page may still be loading.
        urls = [one["request"]["url"] for one in asked if not one["documentURL"].startswith("chrome:")]
        outside = [url for url in urls if not url.startswith(("blob:", "data:", self.path.as_uri()))]
        return [line["message"] for line in self.driver.get_log("browser")] + outside


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    """One browser for all pages, that asks nobody for anything by itself."""
    from selenium.webdriver.chrome.options import Options
    from selenium.webdriver.chrome.service import Service

    assert CHROMIUM is not None
    assert DRIVER is not None
    options = Options()
    options.binary_location = CHROMIUM
    for switch in (
        *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
        *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
        *("--window-size=1280,900", f"--user-data-dir={tmp_path_factory.mktemp('profile')}"),
    ):
        options.add_argument(switch)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(DRIVER))
    # A window that is not shown has no focus otherwise, and its elements hear of none.
    driver.execute_cdp_cmd("Emulation.setFocusEmulationEnabled", {"enabled": True})
    yield driver
    driver.quit()


Open = Callable[..., Opened]


@pytest.fixture
def opened(driver: Chrome) -> Open:
    """Opens the report of a recording, with what differs from another one."""

    def make(made: Recording, against: Recording | None = None) -> Opened:
        made.close()
        head = load(made.folder)
        document = build(head)
        if against is not None:
            against.close()
            base = load(against.folder)
            document = replace(
                document, difference=comparison(build(base), document, profile_diff(base, head))
            )
        return Opened(driver, publish(made.folder, document))

    return make


@pytest.fixture
def sampled(full: Full) -> Recording:
    """A whole run with samples: two lines on the loop in different spans and tasks, one in an executor."""
    made = full("sampled")
    names = [("Handle._run", "/usr/lib/python3.12/asyncio/events.py"), ("handle", "/srv/shop/service.py")]
    names += [("restart", "/srv/shop/hosts.py"), ("check", "/srv/shop/hosts.py")]
    frames = tuple(event.Frame(file, 31 + n, name) for n, (name, file) in enumerate(names))
    made.write("target", event.FrameTable(made.at(2), 4242, 1, (0, 1, 2, 2), frames))
    for stack, count, way, coroutine, span in (
        (3, 60, "signal", "Handler.handle", "restart host"),
        (4, 30, "signal", "Health.beat", ""),
        (2, 10, "executor", "Handler.handle", "restart host"),
    ):
        thread = "worker-0" if way == "executor" else "MainThread"
        task = event.Sampled(
            made.at(8), 4242, thread, way, 100, stack, count, "t-1", coroutine, span, HURT, "b7"
        )
        made.write("target", task)
    made.write("target", event.SamplesCounted(made.at(9), 4242, 100, 80, 90, 10, 1_000_000))
    return made


@pytest.fixture
def compared(sampled: Recording, full: Full) -> tuple[Recording, Recording]:
    """The run with samples, with more of them on the spans of a trace, and another one to compare it with."""
    base = full("base", blocks=1)
    frames = [
        event.Frame(f"/srv/shop/{file}.py", line, name)
        for name, file, line in [("handle", "service", 32), ("restart", "hosts", 33), ("parse", "form", 7)]
    ]
    # As often as in the other run, more often, and less often: 20 ticks, each of another task.
    for made, first, counts in ((base, 1, (20, 0, 60)), (sampled, 11, (22, 60, 4))):
        made.write("target", event.FrameTable(made.at(2), 4242, first, (0, first, first), tuple(frames)))
        for stack, count in enumerate(counts, first):
            for n in range(count):
                tick = event.Sampled(
                    *(made.at(3 + n / 50), 4242, "MainThread", "signal", 100, stack, 1, f"t-{stack}-{n}"),
                    *("Handler.handle", "restart host", "", ""),
                )
                made.write("target", tick)
    for at_s, stack, span, looks in ((6.1, 12, 2, (0, 1, 10_000, 1, 60_000, 5)), (6.19, 13, 3, ())):
        tick = event.Sampled(
            *(sampled.at(at_s), 4242, "MainThread", "signal", 100, stack, sum(looks[1::2]) or 1, "t-1"),
            *("Handler.handle", "restart host", HURT, f"{401:012x}{span:04x}", looks),
        )
        sampled.write("target", tick)
    return sampled, base


BOXES = "return [...document.querySelectorAll('#icicle-view > div')].map(box => box.textContent)"


def test_the_page_opens_from_a_file_without_a_request(opened: Open, sampled: Recording) -> None:
    """No complaint on the console, no request, and the verdict of `report.json` as its heading."""
    page = opened(sampled)

    assert page.run("return document.querySelector('h1').textContent") == page.report["run"]["verdict"]
    assert page.run("return document.querySelectorAll('#chart canvas').length") == 3
    assert page.run("return document.querySelectorAll('.stall').length") == 5
    assert [
        text.split(" ·")[0]
        for text in page.run("return [...document.querySelectorAll('.fault')].map(f => f.textContent)")
    ] == ["stuck-sdk"]
    assert page.complaints() == []


def test_a_request_would_be_noticed_and_is_refused(opened: Open, full: Full) -> None:
    """The page's own policy stops one, and the console tells: so its silence elsewhere means something."""
    page = opened(full())
    page.run("document.body.append(Object.assign(new Image(), { src: 'http://127.0.0.1:9/picture.png' }))")
    page.run("fetch('http://127.0.0.1:9/').catch(() => {})")

    complaints = " ".join(page.complaints())
    assert "picture.png" in complaints
    assert "Content Security Policy" in complaints


def test_a_click_on_a_stall_opens_its_stack(opened: Open, full: Full) -> None:
    """The entry that the page has, or one that is made from its data; each time the focus is on it."""
    page = opened(full())
    closed = [
        n
        for n in range(5)
        if not page.run("return document.getElementById(arguments[0])?.open", f"block-{n}")
    ]
    listed = [n for n in closed if page.run("return !!document.getElementById(arguments[0])", f"block-{n}")]
    (made,) = set(closed) - set(listed)

    for n in (listed[0], made):
        page.run("document.querySelector(`.stall[href='#block-${arguments[0]}']`).click()", n)
        page.wait("return document.getElementById(arguments[0])?.open", f"block-{n}")
        assert page.focused() == f"block-{n}"
        text = page.run("return document.getElementById(arguments[0]).innerText", f"block-{n}")
        assert "Host.restart" in text
        assert "SocketIO.readinto" in text
    assert page.complaints() == []


def test_stalls_are_reached_by_keyboard(opened: Open, full: Full) -> None:
    """Arrows, Home and End go from stall to stall, Enter opens the one they stand on."""
    from selenium.webdriver.common.keys import Keys

    page = opened(full())
    page.run("document.querySelector('.stall').focus()")
    page.press(Keys.ARROW_RIGHT, Keys.ARROW_RIGHT, Keys.ARROW_LEFT)
    assert page.run("return document.activeElement.getAttribute('href')") == "#block-1"
    page.press(Keys.END)
    assert page.run("return document.activeElement.getAttribute('href')") == "#block-4"
    page.press(Keys.HOME, Keys.ARROW_RIGHT, Keys.ENTER)

    page.wait("return document.getElementById('block-1').open")
    assert page.focused() == "block-1"


def test_the_lanes_have_one_cursor(opened: Open, full: Full) -> None:
    """What is pointed at in one lane is told for the same moment in all of them."""
    from selenium.webdriver.common.action_chains import ActionChains

    page = opened(full())
    lane = page.driver.find_elements("css selector", ".lane .u-over")[1]
    page.run("arguments[0].scrollIntoView({ block: 'center' })", lane)
    ActionChains(page.driver).move_to_element(lane).perform()

    values = (
        "[...document.querySelectorAll('.lane .u-series:first-child .u-value')].map(at => at.textContent)"
    )
    page.wait(f"return {values}.every(text => text.endsWith(' s'))")
    assert len(set(page.run(f"return {values}"))) == 1


def test_samples_are_filtered_by_thread_span_task_and_name(opened: Open, sampled: Recording) -> None:
    """Each filter shows its part alone, with the time that was spent there; a search marks what it finds."""
    page = opened(sampled)
    choose = """
        const [name, text] = arguments, field = document.getElementById("icicle-filter").elements[name];
        field.value = [...field.options].find(option => option.textContent === text).value;
        field.dispatchEvent(new Event("change", { bubbles: true }));
    """
    on_loop = ["everything: 900 ms", "100 % handle service.py:32"]
    on_loop += ["67 % restart hosts.py:33", "33 % check hosts.py:34"]

    assert page.run(BOXES) == on_loop
    page.run(choose, "thread", "off the loop")
    assert page.run(BOXES) == ["everything: 100 ms", "100 % handle service.py:32"]
    page.run(choose, "thread", "all loops")
    page.run(choose, "span", "restart host")
    assert page.run(BOXES) == [
        "everything: 600 ms",
        "100 % handle service.py:32",
        "100 % restart hosts.py:33",
    ]
    page.run(choose, "span", "all")
    page.run(choose, "coroutine", "Health.beat")
    assert page.run(BOXES) == ["everything: 300 ms", "100 % handle service.py:32", "100 % check hosts.py:34"]
    page.run(choose, "coroutine", "all")
    page.driver.find_element("name", "search").send_keys("check")
    assert page.run(
        "return [...document.querySelectorAll('#icicle-view .found')].map(box => box.textContent)"
    ) == ["33 % check hosts.py:34"]
    assert page.run("return document.querySelector('#icicle-filter output').textContent") == (
        "900 ms, 1 found, 33.3 %"
    )
    assert page.run(BOXES) == on_loop


def test_what_a_library_calls_is_folded(opened: Open, record: Record, look: Look) -> None:
    """Only the call into it is shown, with all its time, and the program's own code that it calls."""
    made = record()
    made.loop()
    calls = (
        "lib/json/__init__.py:299 loads",
        "lib/json/decoder.py:340 decode",
        "lib/json/decoder.py:353 raw",
    )
    made.blocked(1, 300, [look("cart.py:7 load", *calls), look("cart.py:7 load", *calls, "cart.py:9 hook")])
    made.ended()
    page = opened(made)
    names = BOXES.replace("box.textContent", "box.textContent.split(' ').at(-2)")
    switch = "document.querySelector('#icicle-filter [name=folded]').click()"

    assert page.run(names)[1:] == ["load", "loads", "hook"]
    assert page.run(BOXES)[2].startswith("100 % loads")
    page.run(switch)
    assert page.run(names)[1:] == ["load", "loads", "decode", "raw", "hook"]
    page.run(switch)
    assert page.run(names)[1:] == ["load", "loads", "hook"]
    assert page.complaints() == []


def test_the_sections_stay_in_reach(opened: Open, full: Full) -> None:
    """Their links are at the top of the window wherever one reads, and do not cover where they lead."""
    page = opened(full())
    page.run("document.querySelector(\"nav a[href='#figures']\").click()")
    page.wait("return scrollY > 1000 && document.querySelector('nav').getBoundingClientRect().top === 0")

    assert page.wait(
        """const nav = document.querySelector('nav').getBoundingClientRect();
        const heading = document.getElementById('figures').getBoundingClientRect();
        return heading.top >= nav.bottom - 1 && heading.top < innerHeight;"""
    )
    named = page.run(
        "const tag = link => document.querySelector(link.hash)?.tagName;"
        "return [...document.querySelectorAll('nav a')].map(tag)"
    )
    assert set(named) == {"H2"}


def test_samples_are_reached_by_keyboard(opened: Open, sampled: Recording) -> None:
    """Arrows go from caller to callee and beside, Enter looks closer, Escape comes back."""
    from selenium.webdriver.common.keys import Keys

    page = opened(sampled)
    page.run("document.querySelector('#icicle-view [tabindex=\"0\"]').focus()")
    page.press(Keys.ARROW_DOWN, Keys.ARROW_DOWN, Keys.ARROW_RIGHT)
    assert page.run("return document.activeElement.textContent") == "33 % check hosts.py:34"
    page.press(Keys.ENTER)
    assert page.run(BOXES) == ["everything: 900 ms", "100 % handle service.py:32", "33 % check hosts.py:34"]
    page.press(Keys.ESCAPE)
    assert len(page.run(BOXES)) == 4


def test_a_trace_has_its_samples(opened: Open, sampled: Recording) -> None:
    """Beside the waterfall of the trace they were taken in: the line, and how it was reached."""
    page = opened(sampled)

    page.run("document.querySelector('.trace summary').click()")
    text = page.run("return document.querySelector('.trace details').innerText")
    assert "600 ms restart hosts.py:33 called by handle" in " ".join(text.split())


def test_samples_lie_on_the_waterfall(opened: Open, compared: tuple[Recording, Recording]) -> None:
    """Each below the bar of its span, at its time; the arrow keys go from one to the next and tell it."""
    from selenium.webdriver.common.keys import Keys

    page = opened(*compared)
    (number,) = [n for n, trace in enumerate(page.report["traces"]) if trace["trace_id"] == HURT]
    fall = page.driver.find_elements("css selector", ".fall")[number]
    took_ms = page.report["traces"][number]["took_ms"]
    rows = page.run(
        """const placed = tick => [parseFloat(tick.style.left), parseFloat(tick.style.width)];
        return [...arguments[0].querySelectorAll("[data-span]")].map(
            row => [row.dataset.span, [...row.querySelectorAll(".tick")].map(placed)]);""",
        fall,
    )

    assert [(name, len(ticks)) for name, ticks in rows if ticks] == [("restart host", 3), ("save", 1)]
    ((_, (first, second, third)),) = [row for row in rows if row[0] == "restart host"]
    assert second[0] - first[0] == pytest.approx(10 / took_ms * 100, rel=0.02)
    assert third[1] == pytest.approx(50 / took_ms * 100, rel=0.02)
    told = "return arguments[0].nextElementSibling.textContent"
    page.run("arguments[0].querySelector('.tick').focus()", fall)
    assert "in restart host, 1 sample of MainThread: handle service.py:32 › restart hosts.py:33" in page.run(
        told, fall
    )
    page.press(Keys.ARROW_RIGHT, Keys.ARROW_RIGHT, Keys.ARROW_RIGHT)
    assert "in save, 1 sample of MainThread: handle service.py:32 › parse form.py:7" in page.run(told, fall)
    page.press(Keys.ARROW_UP)
    assert "restart hosts.py:33" in page.run(told, fall)
    assert page.run("return arguments[0].querySelectorAll('.tick[tabindex=\"0\"]').length", fall) == 1
    assert page.run("return arguments[0].querySelectorAll('.tick.same').length", fall) == 3
    assert page.complaints() == []


DIFF_BOXES = BOXES.replace("icicle-view", "diff-view")


def test_two_runs_are_one_icicle(opened: Open, compared: tuple[Recording, Recording]) -> None:
    """Each call with a sign, its colour and what it gained or lost; the same filters, and the same keys."""
    from selenium.webdriver.common.keys import Keys

    page = opened(*compared)
    boxes = page.run(DIFF_BOXES)
    looks = page.run("return [...document.querySelectorAll('#diff-view > div')].map(box => box.className)")
    by_function = {text.rpartition(" ")[0].rpartition(" ")[2]: text for text in boxes}
    tones = dict(zip(by_function, looks, strict=True))

    assert by_function["restart"].startswith("▲ +")
    assert by_function["parse"].startswith("▼ −")
    assert by_function["check"].startswith("≈ check")
    assert tones["restart"] == "own heavier"
    assert tones["parse"] == "own lighter"
    assert tones["check"] == "own"
    legend = page.run("return document.querySelector('#comparison ~ .parts-legend').innerText")
    assert [line.strip()[:1] for line in legend.splitlines()] == ["▲", "▼", "≈"]

    page.run("document.querySelector('#diff-view [tabindex=\"0\"]').focus()")
    page.press(Keys.ARROW_DOWN, Keys.ARROW_DOWN)
    told = page.run("return document.getElementById('diff-details').textContent")
    assert "restart hosts.py: " in told
    assert "ms ± " in told
    assert "heavier" in told
    page.press(Keys.ENTER)
    assert len(page.run(DIFF_BOXES)) == 3
    page.press(Keys.ESCAPE)
    assert page.run(DIFF_BOXES) == boxes
    page.run(
        """const field = document.getElementById("diff-filter").elements.coroutine;
        field.value = [...field.options].find(option => option.textContent === "Health.beat").value;
        field.dispatchEvent(new Event("change", { bubbles: true }));"""
    )
    assert [text.split()[1] for text in page.run(DIFF_BOXES)] == ["everything", "handle", "check"]
    assert page.complaints() == []


def test_calls_too_thin_to_draw_can_be_zoomed_into(opened: Open, record: Record, look: Look) -> None:
    """A thousand calls alike are one box; selected it shows a hundred of them, then a hundred more."""
    from selenium.webdriver.common.keys import Keys

    made = record()
    made.loop(turns_ms=[120.0] * 1000, ran_s=300)
    for n in range(1000):
        made.blocked(n / 4, 120, [look(f"shop/part{n}.py:{n + 1} work_{n}")])
    made.ended(300)
    page = opened(made)
    page.run("document.querySelector('#icicle-view [tabindex=\"0\"]').focus()")
    page.press(Keys.ARROW_DOWN)

    assert page.run(BOXES)[1:] == ["1000 more, each too thin to draw"]
    assert "1000 calls, 100.0 % of what is shown" in page.run(
        "return document.getElementById('icicle-details').textContent"
    )
    page.press(Keys.ENTER)
    assert page.run(THIN) == [101, "900 more, each too thin to draw"]
    page.run("document.querySelector('#icicle-view .crumbs').click()")
    assert page.run(THIN) == [101, "800 more, each too thin to draw"]
    page.press(Keys.ESCAPE)
    assert page.run(THIN) == [1, "1000 more, each too thin to draw"]


THIN = """return [document.querySelectorAll("#icicle-view [data-call]").length,
    document.querySelector("#icicle-view .crumbs").getAttribute("aria-label")]"""


def test_samples_open_in_speedscope(opened: Open, sampled: Recording) -> None:
    """In a frame of its own, from the page alone, with the loop's thread first."""
    page = opened(sampled)
    page.run("document.querySelector('#speedscope summary').click()")
    page.wait("return document.querySelector('#speedscope iframe')")

    page.driver.switch_to.frame(page.driver.find_element("tag name", "iframe"))
    page.wait("return document.body.innerText.includes('Sandwich')")
    assert "MainThread (signal)" in page.run("return document.body.innerText")
    page.driver.switch_to.default_content()
    assert [text for text in page.complaints() if "speedscope v" not in text] == []


def test_on_paper_all_checks_are_open(opened: Open, full: Full) -> None:
    """What is folded up cannot be opened there; afterwards it is as it was."""
    page = opened(full())
    folded = "return document.querySelectorAll('[aria-labelledby=checks] details:not([open])').length"
    assert page.run(folded) == 2
    page.run("dispatchEvent(new Event('beforeprint'))")
    assert page.run(folded) == 0
    page.run("dispatchEvent(new Event('afterprint'))")
    assert page.run(folded) == 2


def test_the_page_can_be_light_or_dark(opened: Open, full: Full) -> None:
    """As the system asks, until the button says otherwise."""
    page = opened(full())
    paper = "return getComputedStyle(document.body).backgroundColor"

    for asked, other in (("light", "dark"), ("dark", "light")):
        page.driver.execute_cdp_cmd(
            "Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": asked}]}
        )
        page.driver.refresh()
        before = page.run(paper)
        page.run("document.getElementById('theme').click()")
        after = page.run(paper)
        assert (sum(map(int, before[4:-1].split(","))) > 384) is (asked == "light")
        assert (sum(map(int, after[4:-1].split(","))) > 384) is (other == "light")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_can_be_read(opened: Open, compared: tuple[Recording, Recording], scheme: str) -> None:
    """Every text stands out from what is behind it by a ratio of 4.5 at least (WCAG 2, level AA)."""
    page = opened(*compared)
    page.run("document.documentElement.dataset.theme = arguments[0]", scheme)

    assert page.run(CONTRAST) == []


# Every element with text of its own: its colour, and the first background behind it that is not see-through.
CONTRAST = """
    const painter = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
    const rgb = colours => {
        painter.clearRect(0, 0, 1, 1);
        for (const colour of colours) { painter.fillStyle = colour; painter.fillRect(0, 0, 1, 1); }
        return [...painter.getImageData(0, 0, 1, 1).data].slice(0, 3);
    };
    const luminance = parts => {
        const [r, g, b] = parts.map(part => ((part / 255 + 0.055) / 1.055) ** 2.4);
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    document.querySelectorAll("details").forEach(entry => { entry.open = true; });
    const poor = new Set();
    for (const one of document.querySelectorAll("body *")) {
        const own = [...one.childNodes].some(node => node.nodeType === 3 && node.textContent.trim());
        if (!own || !one.getClientRects().length || one.closest("script, option, .unseen, .skip")) continue;
        const behind = [];
        for (let above = one; above; above = above.parentElement) {
            behind.unshift(getComputedStyle(above).backgroundColor);
        }
        const back = luminance(rgb(behind)), text = luminance(rgb([...behind, getComputedStyle(one).color]));
        const ratio = (Math.max(back, text) + 0.05) / (Math.min(back, text) + 0.05);
        if (ratio < 4.5) poor.add(`${one.tagName} ${one.className} ${ratio.toFixed(2)} ${one.textContent}`);
    }
    return [...poor];
"""


@pytest.mark.parametrize("width", [1280, 800, 390])
def test_nothing_is_wider_than_the_window(
    opened: Open, compared: tuple[Recording, Recording], width: int
) -> None:
    """On a desk, on half of one, and on a telephone."""
    page = opened(*compared)
    page.driver.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False},
    )
    try:
        page.wait(
            "return document.querySelector('#chart canvas').getBoundingClientRect().right <= innerWidth"
        )
        assert page.run("return document.documentElement.scrollWidth") <= width
    finally:
        page.driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_what_can_be_used_has_a_name(opened: Open, compared: tuple[Recording, Recording]) -> None:
    """Every control, link and heading says what it is; every id is there once; links lead somewhere."""
    page = opened(*compared)

    assert page.run(NAMELESS) == []
    assert page.run(ASTRAY) == []


NAMELESS = """
    const named = one => one.closest("label, [aria-label]") || one.textContent.trim();
    const used = "a, button, input, select, summary, h1, h2, h3, [role=treeitem], [role=img]";
    return [...document.querySelectorAll(used)].filter(one => !named(one)).map(one => one.outerHTML);
"""
ASTRAY = """
    const ids = [...document.querySelectorAll("[id]")].map(one => one.id);
    const known = new Set([...ids, ...stalls.stalls.map(stall => stall.id)]);
    const links = [...document.querySelectorAll("a[href^='#']")].map(one => one.hash.slice(1));
    return [...ids.filter((id, index) => ids.indexOf(id) < index), ...links.filter(id => !known.has(id))];
"""


@pytest.mark.long
def test_a_big_run_opens_soon(opened: Open, record: Record, look: Look) -> None:
    """5,000 blocks at a thousand places and 100,000 spans: opened within 3 s, below 900 kB, cuts are told."""
    made = record()
    made.loop(turns_ms=[1.0] * 1000 + [120.0] * 5000, ran_s=1000)
    for n in range(5000):
        # Twenty calls deep, nearly all of them different, with names as long as some are.
        place = f"shop/part{n % 1000}.py:{n % 1000 + 1} Part.work_{n % 1000}"
        made.blocked(n / 5, 120, [look(*(f"{place}_{depth}{'x' * 90}" for depth in range(20)), count=20)])
    for n in range(100_000):
        at_s, trace = n / 100, f"{n // 5:032x}"
        parent = f"{n - n % 5:016x}" if n % 5 else ""
        span = event.SpanEnded(
            *(f"step {n % 40}", "internal", trace, f"{n:016x}", parent),
            *(made.at(at_s), made.at(at_s + 0.05), "ok", "MainThread"),
        )
        made.write("target", span)
        if n % 20_000 == 0:
            made._writers["target"].flush(timeout_s=30)
    made.ended(1000)
    page = opened(made)

    assert page.report["spans"]["recorded"] == 100_000
    assert len(page.report["blocks"]) == 5000
    assert page.path.stat().st_size < 900_000
    assert page.took_s < 3
    text = page.run("return document.body.innerText")
    assert "240 of 5,000" in text
    assert "and 988 more places with less time" in text
    assert page.complaints() == []


@pytest.mark.parametrize("kind", ["empty", "quiet", "cut off"])
def test_every_run_is_a_page(opened: Open, record: Record, full: Full, kind: str) -> None:
    """A record without any figure, a run with nothing wrong, and one whose runner was killed."""
    if kind == "empty":
        made = record()
        made.write("runner", event.TargetStarted(made.at(0), 4242, ("python", "-m", "shop")))
    elif kind == "quiet":
        made = record()
        made.loop(turns_ms=[1.2] * 3000)
        made.ended()
    else:
        made = full(end=False)
    page = opened(made)

    assert page.run("return document.querySelector('h1').textContent") == page.report["run"]["verdict"]
    assert page.run(
        "return [...document.querySelectorAll('main > section')].every(one => one.innerText.trim())"
    )
    assert page.complaints() == []
