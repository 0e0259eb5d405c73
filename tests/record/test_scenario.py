"""A scenario file: what is accepted, what it becomes, and the exact words about what is wrong."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from harness.errors import ScenarioError
from harness.record import scenario
from harness.record.fault import catalogue, toxic
from harness.record.metric import FIGURES, find
from harness.record.options.load import HttpLoad
from harness.record.run import Expectation
from harness.record.scenario import ProgramTarget, ReadyPort

ROOT = Path(__file__).parents[2]
KINDS = ", ".join(sorted([*catalogue.names(), *toxic.names()]))

MAYHEM = """\
seed = 7

[target]
kind = "mayhem"

[load]
sender = "sqlite"
rate_per_s = 100
duration_s = 12.0

[[faults]]
id = "stuck-sdk"
kind = "block.sleep"
in = "shop.cart:Cart.total"
block_ms = 300
at_s = 4.0

[expect]
"ledger.lost" = "== 0"
"load.latency_ms.p99" = "< 500"
"""

PROGRAM = """\
[target]
kind = "program"
command = ["python", "-m", "shop"]
cwd = "shop"
ready = {port = 8080}

[load]
sender = "http"
url = "http://127.0.0.1:8080/"
rate_per_s = 50
duration_s = 5
"""


Write = Callable[[str | bytes], Path]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Writes a scenario, and names it as somebody in its folder would."""
    monkeypatch.chdir(tmp_path)

    def write(text: str | bytes) -> Path:
        path = Path("first.toml")
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write


def complaint(path: Path, *overrides: str) -> list[str]:
    """The message and the notes of the one error."""
    with pytest.raises(ScenarioError) as caught:
        scenario.load(path, overrides=overrides)
    assert caught.value.exit_code == 2
    return [str(caught.value), *getattr(caught.value, "__notes__", [])]


# --- what is accepted ---------------------------------------------------------------------------------


def test_a_scenario_for_the_chaos_service(write: Write) -> None:
    """What is not said takes its default, and the file lends its name."""
    loaded = scenario.load(write(MAYHEM))

    assert loaded.model_dump(mode="json", by_alias=True) == {
        "name": "first",
        "description": "",
        "seed": 7,
        "target": {"kind": "mayhem", "broker": None, "store": None, "config": None, "settings": {}},
        "load": {
            "sender": "sqlite",
            "rate_per_s": 100.0,
            "duration_s": 12.0,
            "arrival": "poisson",
            "stages": [],
            "find": None,
            "warm_up_s": 0.0,
            "max_late_ms": 50.0,
            "drain_s": 10.0,
        },
        "proxies": [],
        "faults": [
            {
                "id": "stuck-sdk",
                "kind": "block.sleep",
                "in": "shop.cart:Cart.total",
                "block_ms": 300.0,
                "at_s": 4.0,
                "for_s": None,
                "probability": 1.0,
                "limit": None,
            }
        ],
        "probe": {
            "block_ms": 100.0,
            "hang_ms": 1000.0,
            "hang_exit_s": 0.0,
            "calls": False,
            "origins": False,
            "application": [],
            "sample_hz": 0,
            "waits": 0.0,
            "waits_for_s": 0.0,
        },
        "profile": {
            "pyinstrument": None,
            "pyinstrument_every": 1,
            "pyinstrument_slower_ms": 0.0,
            "cprofile": False,
            "py_spy_s": None,
            "py_spy": False,
            "tachyon": False,
            "strace": False,
        },
        "expect": {"ledger.lost": "== 0", "load.latency_ms.p99": "< 500"},
    }


def test_a_scenario_for_any_program(write: Write, tmp_path: Path) -> None:
    """A program's folder lies beside the scenario; what only the sender needs is apart from the schedule."""
    loaded = scenario.load(write(PROGRAM))

    assert loaded.target == ProgramTarget(
        kind="program",
        command=("python", "-m", "shop"),
        cwd=tmp_path.resolve() / "shop",
        ready=ReadyPort(port=8080),
    )
    assert isinstance(loaded.load, HttpLoad)
    assert loaded.load.parameters() == {
        "url": "http://127.0.0.1:8080/",
        "cookies": False,
        "timeout_s": 30.0,
    }


def test_a_program_runs_beside_its_scenario(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a folder the program runs in the scenario's, wherever the command was given."""
    write(PROGRAM.replace('cwd = "shop"\n', ""))
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")

    target = scenario.load(Path("../first.toml")).target
    assert isinstance(target, ProgramTarget)
    assert target.cwd == tmp_path.resolve()


def test_each_kind_of_fault_is_a_class(write: Write) -> None:
    """A fault has the keys of its kind, and no others."""
    faults = """
[[faults]]
id = "a"
kind = "block.cpu"
in = "shop:total"
block_ms = 20
[[faults]]
id = "b"
kind = "call.fail"
in = "shop:total"
raises = "shop.errors:SoldOut"
probability = 0.5
limit = 3
"""
    loaded = scenario.load(write(PROGRAM + faults))

    assert [type(fault).__name__ for fault in loaded.function_faults] == ["BlockCpu", "CallFail"]
    assert loaded.function_faults[1].place == "shop:total"


@pytest.mark.parametrize(
    ("text", "limit"),
    [
        ("< 500", ("<", 500.0)),
        ("<=1.5", ("<=", 1.5)),
        (" > 0 ", (">", 0.0)),
        (">= 1e3", (">=", 1000.0)),
        ("== -1", ("==", -1.0)),
    ],
)
def test_a_limit_is_a_comparison_with_a_number(write: Write, text: str, limit: tuple[str, float]) -> None:
    """The five comparisons are read, with or without spaces."""
    loaded = scenario.load(write(MAYHEM.replace('"== 0"', f'"{text}"')))

    assert loaded.expectations[0] == Expectation("ledger.lost", *limit)


def test_a_figure_may_be_written_without_quotes(write: Write) -> None:
    """`ledger.lost = ...` is, to TOML, a table in a table; it means the same figure."""
    loaded = scenario.load(write(MAYHEM.replace('"ledger.lost"', "ledger.lost")))

    assert loaded.expectations[0] == Expectation("ledger.lost", "==", 0.0)


def test_a_figure_may_be_that_of_a_named_span() -> None:
    """Where a figure has a name in its key, any name will do, but there must be one."""
    assert find("spans.by_name.process restart.p99_ms") in FIGURES
    assert find("spans.by_name.GET /a.b.p99_ms") in FIGURES
    assert find("spans.by_name..p99_ms") is None
    assert find("spans.by_name.process restart.p98_ms") is None


# --- what is wrong ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("was", "becomes", "message"),
    [
        ("= 100", "= -5", "8: load.rate_per_s: expected a finite number > 0, got -5"),
        ("= 100", "= 0", "8: load.rate_per_s: expected a finite number > 0, got 0"),
        ("= 100", "= inf", "8: load.rate_per_s: expected a finite number > 0, got inf"),
        ("= 100", '= "100"', '8: load.rate_per_s: expected a finite number > 0, got "100"'),
        ("= 100", "= true", "8: load.rate_per_s: expected a finite number > 0, got true"),
        ("seed = 7", "seed = 7.5", "1: seed: expected a whole number, got 7.5"),
        ("seed = 7", 'name = "a b"', '1: name: expected a string such as "slow-host.2", got "a b"'),
        ("rate_per_s = 100\n", "", "6: load.rate_per_s: missing; expected a finite number > 0, or stages"),
        ("= 4.0", "= -0.1", "16: faults.0.at_s: expected a finite number >= 0, got -0.1"),
        (
            "at_s = 4.0",
            "probability = 2",
            "16: faults.0.probability: expected a finite number > 0 and <= 1, got 2",
        ),
        ("at_s = 4.0", "limit = 0", "16: faults.0.limit: expected a whole number >= 1, got 0"),
        ("at_s = 4.0", "at_s = 12", "16: faults.0.at_s: expected a time before the load ends (12), got 12"),
        (
            "shop.cart:",
            "",
            '14: faults.0.in: expected a string such as "package.module:Class.method", got "Cart.total"',
        ),
        ("== 0", "= 0", '19: expect.ledger.lost: expected a string such as "< 500" or "== 0", got "= 0"'),
        ("== 0", "< x", '19: expect.ledger.lost: expected a string such as "< 500" or "== 0", got "< x"'),
        ('"== 0"', "0", '19: expect.ledger.lost: expected a string such as "< 500" or "== 0", got 0'),
        ("[load]", "[load]\narrival = 1", '7: load.arrival: expected one of "poisson", "constant", got 1'),
        ('kind = "mayhem"', "", "3: target.kind: missing; expected one of: mayhem, program"),
        ("[target]\n", "[[target]]\n", "3: target: expected a table, got a list"),
        ("[[faults]]", "[faults]", "11: faults: expected a list, got a table"),
    ],
)
def test_a_wrong_value_is_named_with_its_line_and_what_was_expected(
    write: Write, was: str, becomes: str, message: str
) -> None:
    """One line says where, what was expected and what came."""
    assert complaint(write(MAYHEM.replace(was, becomes, 1))) == [f"first.toml:{message}"]


@pytest.mark.parametrize(
    ("was", "becomes", "words"),
    [
        (
            "rate_per_s",
            "rate_per_sec",
            [
                "first.toml:8: load.rate_per_sec: unknown key; did you mean rate_per_s?",
                "valid keys: arrival, drain_s, duration_s, find, max_late_ms, rate_per_s, sender, stages,"
                " warm_up_s",
            ],
        ),
        (
            "[load]",
            "[loda]",
            [
                "first.toml:6: loda: unknown key; did you mean load?",
                "valid keys: description, expect, faults, load, name, probe, profile, proxies, seed, target",
            ],
        ),
        (
            "at_s = 4.0",
            "zzz = 4.0",
            [
                "first.toml:16: faults.0.zzz: unknown key",
                "valid keys: at_s, block_ms, for_s, id, in, kind, limit, probability",
            ],
        ),
        (
            "block.sleep",
            "block.slep",
            [
                'first.toml:13: faults.0.kind: unknown kind "block.slep"; did you mean block.sleep?',
                f"valid values of kind: {KINDS}",
            ],
        ),
        (
            '"ledger.lost"',
            "ledger.lots",
            [
                "first.toml:19: expect.ledger.lots: unknown figure; did you mean ledger.lost?",
                "Figures of ledger: ledger.published, ledger.acked, ledger.nacked, ledger.redelivered,"
                " ledger.duplicated, ledger.lost, ledger.dead_lettered, ledger.waiting,"
                " ledger.acked_unsaved, ledger.drain_s.",
            ],
        ),
        (
            "at_s = 4.0",
            'at_s = 4.0\n[[faults]]\nid = "stuck-sdk"\nkind = "block.cpu"\nin = "a:b"\nblock_ms = 1',
            ['first.toml:18: faults.1.id: "stuck-sdk" is taken by another fault'],
        ),
        (
            '"sqlite"',
            '"http"\nurl = "http://127.0.0.1/"',
            [
                'first.toml:7: load.sender: "http" cannot load the broker "sqlite:" of the chaos service',
                'Use the sender "sqlite".',
            ],
        ),
    ],
)
def test_what_nobody_knows_is_named_with_the_nearest_that_is_known(
    write: Write, was: str, becomes: str, words: list[str]
) -> None:
    """An unknown key, kind or figure comes with the nearest valid one, and a note with all of them."""
    assert complaint(write(MAYHEM.replace(was, becomes, 1))) == words


@pytest.mark.parametrize(
    ("was", "becomes", "message"),
    [
        ('["python", "-m", "shop"]', "[]", "3: target.command: expected a non-empty list, got an empty list"),
        ('["python", "-m", "shop"]', '[\n"a",\n1,\n]', "3: target.command.1: expected a string, got 1"),
        ("{port = 8080}", "{prot = 1}", "5: target.ready: expected a table with one of: log, port, after_s"),
        ("{port = 8080}", '{log = "("}', '5: target.ready.log: expected a regular expression, got "("'),
        (
            "{port = 8080}",
            "{port = 99999}",
            "5: target.ready.port: expected a whole number >= 1 and <= 65535, got 99999",
        ),
        (
            '"http://127.0.0.1:8080/"',
            '"127.0.0.1"',
            '9: load.url: expected a string such as "http://127.0.0.1:8080/", got "127.0.0.1"',
        ),
    ],
)
def test_a_wrong_program_or_sender_is_named(write: Write, was: str, becomes: str, message: str) -> None:
    """The alternatives that pydantic tried are not in the path; only keys of the file are."""
    assert complaint(write(PROGRAM.replace(was, becomes))) == [f"first.toml:{message}"]


def test_load_waits_for_a_sign_of_readiness(write: Write) -> None:
    """A program that is put under load must say when it is ready."""
    assert complaint(write(PROGRAM.replace("ready = {port = 8080}\n", ""))) == [
        "first.toml:1: target.ready: missing; load must not come before the program is ready",
        "One of: {log = ...}, {port = ...}, {after_s = ...}",
    ]


def test_the_first_of_several_in_the_file_is_the_message(write: Write) -> None:
    """Several mistakes are one error: the first in the file, the others as notes."""
    text = MAYHEM.replace("= 300", "= -1").replace("= 100", "= -5").replace('"< 500"', '"500"')

    assert complaint(write(text)) == [
        "first.toml:8: load.rate_per_s: expected a finite number > 0, got -5",
        "first.toml:15: faults.0.block_ms: expected a finite number > 0, got -1",
        'first.toml:20: expect.load.latency_ms.p99: expected a string such as "< 500" or "== 0", got "500"',
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"seed = 1\n[target\n", "first.toml:2: not TOML: Expected ']' at the end of a table declaration"),
        (b"seed = 1\nname = '''\nx\n", "first.toml:3: not TOML: Expected \"'''\""),
        (b"seed = 1\n\n# \xe9\n", "first.toml:3: not UTF-8: byte 0xe9"),
        (b"", "first.toml: target: missing; expected a table"),
    ],
)
def test_a_file_that_is_no_scenario(write: Write, text: bytes, message: str) -> None:
    """A file that is not TOML, not UTF-8 or empty is one line, too."""
    assert complaint(write(text)) == [message]


def test_a_file_that_cannot_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A missing file, or a folder, is named with the reason."""
    monkeypatch.chdir(tmp_path)

    assert complaint(Path("first.toml")) == ["first.toml: cannot be read: No such file or directory"]
    assert complaint(Path(".")) == [".: cannot be read: Is a directory"]


# --- overrides ----------------------------------------------------------------------------------------


def test_overrides_change_what_they_name(write: Write) -> None:
    """Numbers, text without quotes, a list's item by id or index, a new table, and a later override wins."""
    loaded = scenario.load(
        write(MAYHEM),
        overrides=[
            "load.rate_per_s=50",
            "load.arrival=constant",
            "faults.stuck-sdk.block_ms=50",
            "faults.0.at_s=1",
            'expect."blocks.max_held_ms"="< 100"',
            "expect.ledger.lost=<= 2",
            "probe.block_ms=20",
            "probe.block_ms=30",
            "description=a = b",
        ],
    )

    assert loaded.load is not None
    assert (loaded.load.rate_per_s, loaded.load.arrival, loaded.load.duration_s) == (50, "constant", 12)
    assert (loaded.faults[0].model_dump()["block_ms"], loaded.faults[0].at_s) == (50, 1)
    assert list(map(str, loaded.expectations)) == [
        "ledger.lost <= 2",
        "load.latency_ms.p99 < 500",
        "blocks.max_held_ms < 100",
    ]
    assert loaded.probe.block_ms == 30
    assert loaded.description == "a = b"


def test_an_override_can_take_something_away(write: Write) -> None:
    """An empty list or table replaces what the file has."""
    loaded = scenario.load(write(MAYHEM), overrides=["faults=[]"])

    assert loaded.faults == ()


@pytest.mark.parametrize(
    ("load", "words"),
    [
        ("users = 2", ["first.toml:6: load.duration_s: missing; expected a finite number > 0, or stages"]),
        (
            "duration_s = 5",
            ["first.toml:6: load.rate_per_s: missing; expected a finite number > 0, stages or users"],
        ),
        (
            "users = 2\nduration_s = 5\nrate_per_s = 3",
            [
                "first.toml:11: load.rate_per_s: belongs to an open model; "
                "users send when they have their answer"
            ],
        ),
        (
            'stages = [{ shape = "ramp", for_s = 3, to_per_s = 5 }]\nduration_s = 5',
            ["first.toml:10: load.duration_s: belongs to a load without stages, which say it themselves"],
        ),
        (
            'stages = [{ shape = "constant", for_s = 3, rate_per_s = 0 }]',
            ["first.toml:9: load.stages: no stage has a rate above 0"],
        ),
        (
            'stages = [{ shape = "rmap", for_s = 3, to_per_s = 5 }]',
            [
                'first.toml:9: load.stages.0.shape: unknown shape "rmap"; did you mean ramp?',
                "valid values of shape: constant, ramp, sine, spike, steps",
            ],
        ),
        (
            "rate_per_s = 3\nduration_s = 5\nwarm_up_s = 5",
            ["first.toml:11: load.warm_up_s: expected a time shorter than the load (5 s), got 5"],
        ),
        (
            'users = 1\nduration_s = 5\nrequests = [{ name = "a" }]\n'
            'flows = [{ name = "a", steps = [{ name = "b" }] }]',
            ['first.toml:12: load.flows.0.name: "a" is taken'],
        ),
        (
            'users = 1\nduration_s = 5\nrequests = [{ name = "a", take = { x = "css:h1" } }]',
            [
                "first.toml:11: load.requests.0.take.x: expected a string such as "
                '"json:access_token" or "header:location" or "body:csrf=\\"([^\\"]+)\\"", got "css:h1"'
            ],
        ),
        (
            'users = 1\nduration_s = 5\nrequests = [{ name = "a", json = { b = ["{{usr}}"] } }]',
            [
                "first.toml:11: load.requests.0: {{usr}} is not known; did you mean user?",
                "Known here: visit, user.",
            ],
        ),
        (
            'users = 1\nduration_s = 5\nrequests = [{ name = "a", url = "http://[{{visit}}" }]',
            ["first.toml:11: load.requests.0.url: not an address: Invalid IPv6 URL"],
        ),
        (
            'users = 1\nduration_s = 5\nrequests = [{ name = "a", json = 1, body = "b" }]',
            ["first.toml:11: load.requests.0.json: a request has a body or a json, not both"],
        ),
        (
            'users = 1\nduration_s = 5\nflows = [{ name = "a", steps = [] }]',
            ["first.toml:11: load.flows.0.steps: expected a non-empty list, got an empty list"],
        ),
        (
            'users = 1\nduration_s = 5\ndata = "none.csv"',
            ["first.toml:11: load.data: {folder}/none.csv: cannot be read: No such file or directory"],
        ),
        (
            'users = 1\nduration_s = 5\ndata = "first.toml"',
            ["first.toml:11: load.data: {folder}/first.toml:3: expected 1 values"],
        ),
        (
            'users = 1\nduration_s = 5\n[expect]\n"load.tag.x.failed" = "== 0"',
            [
                "first.toml:12: expect.load.tag.x.failed: this run cannot have that figure: "
                "no request has this tag"
            ],
        ),
    ],
)
def test_what_is_wrong_with_a_load_is_named(write: Write, load: str, words: list[str]) -> None:
    """The schedule, the requests and flows, their data, and figures of tags that no request has."""
    text = PROGRAM.replace("rate_per_s = 50\nduration_s = 5\n", f"{load}\n")
    text = text.replace('cwd = "shop"\n', "")
    folder = Path.cwd()

    assert complaint(write(text)) == [word.replace("{folder}", str(folder)) for word in words]


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("load.rate_per_s", ["--set load.rate_per_s: expected KEY=VALUE, with a dotted TOML key"]),
        ("load rate=3", ["--set load rate=3: expected KEY=VALUE, with a dotted TOML key"]),
        (
            "load.rate_per_s=-5",
            ["--set load.rate_per_s=-5: load.rate_per_s: expected a finite number > 0, got -5"],
        ),
        (
            "load.rate_s=5",
            [
                "--set load.rate_s=5: load.rate_s: unknown key; did you mean rate_per_s?",
                "valid keys: arrival, drain_s, duration_s, find, max_late_ms, rate_per_s, sender, stages,"
                " warm_up_s",
            ],
        ),
        ("faults.1.at_s=1", ["--set faults.1.at_s=1: faults has no item '1'; it has: stuck-sdk"]),
        (
            "faults=[{id='x'}]",
            [f"--set faults=[{{id='x'}}]: faults.0.kind: missing; expected one of: {KINDS}"],
        ),
        ("faults.stuck-sdk=3", ["--set faults.stuck-sdk=3: faults.0: expected a table, got 3"]),
    ],
)
def test_an_override_that_is_wrong_is_named_instead_of_a_line(
    write: Write, override: str, words: list[str]
) -> None:
    """The file is right; the message is about the command line."""
    assert complaint(write(MAYHEM), override) == words


# --- schema, example, reference -----------------------------------------------------------------------


def test_the_example_is_a_scenario() -> None:
    """The scenario that ships loads, and plants what its expectations promise."""
    loaded = scenario.load(ROOT / "scenarios" / "first.toml")

    assert loaded.name == "first"
    assert [fault.id for fault in loaded.faults] == ["slow-log", "bad-host"]
    assert Expectation("blocks.count", ">=", 1.0) in loaded.expectations


def test_the_schema_accepts_what_loads_and_rejects_what_does_not() -> None:
    """The schema is valid JSON Schema, and of one mind with the model about keys, types and ranges."""
    example = tomllib.loads((ROOT / "scenarios" / "first.toml").read_text())
    validator = jsonschema_rs.Draft202012Validator(scenario.schema())

    assert list(validator.iter_errors(example)) == []
    assert list(validator.iter_errors(tomllib.loads(PROGRAM))) == []
    wrong: dict[str, Any]
    for wrong in (
        {"laod": {}},
        {"target": {"kind": "other"}},
        {"seed": "1"},
        {"load": {"sender": "sqlite", "rate_per_s": -5, "duration_s": 1}},
        {"faults": [{"id": "a", "kind": "block.sleep", "in": "no place", "block_ms": 1}]},
        {"expect": {"ledger.lost": "= 0"}},
    ):
        assert not validator.is_valid(example | wrong), wrong


def reference() -> tuple[dict[str, set[str]], list[str]]:
    """The keys of each section of the reference, and the rows of its table of figures."""
    sections = re.split(r"^## ", (ROOT / "docs" / "scenario.md").read_text(), flags=re.MULTILINE)[1:]
    rows = {
        section.splitlines()[0]: re.findall(r"^\| (`.+) \|$", section, re.MULTILINE) for section in sections
    }
    figures = rows.pop("`[expect]`")
    keys = {title.strip("`[]"): {row.split("`")[1] for row in section} for title, section in rows.items()}
    return {title: section for title, section in keys.items() if section}, figures


def keys_of(part: dict[str, Any], definitions: dict[str, Any]) -> set[str]:
    """The keys of a table, of all its alternatives, and with dots those of a table inside."""
    part = definitions.get(part.get("$ref", "").rpartition("/")[2], part)
    keys = set()
    for option in [*part.get("oneOf", ()), *part.get("anyOf", ()), *filter(None, [part.get("items")])]:
        keys |= keys_of(option, definitions)
    for name, below in part.get("properties", {}).items():
        keys |= {f"{name}.{inner}" for inner in keys_of(below, definitions)} or {name}
    return keys


def test_the_reference_has_every_key_and_no_other() -> None:
    """`docs/scenario.md` lists, section by section, the keys of the model, and the figures word by word."""
    documented, figures = reference()
    schema = scenario.schema()
    properties, definitions = schema["properties"], schema["$defs"]
    sections = {name: keys for name, part in properties.items() if (keys := keys_of(part, definitions))}

    assert documented == {"Top level": set(properties)} | sections
    assert figures == [f"`{figure.key}` | {figure.unit} | {figure.meaning}" for figure in FIGURES]
