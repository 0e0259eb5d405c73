"""On which line of a TOML file a key stands."""

import pytest

from harness.record.toml.lines import lines_by_key


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("", {}),
        ("# note\n\na = 1 # b = 2\n", {"a": 3}),
        ("a = 1", {"a": 1}),
        ("[t]\na = 1\n[u]\na = 2\n", {"t": 1, "t.a": 2, "u": 3, "u.a": 4}),
        ("[t.u]\na = 1\n[t]\nb = 1\n", {"t": 1, "t.u": 1, "t.u.a": 2, "t.b": 4}),
        ("a.b = 1\na.c = 2\n", {"a": 1, "a.b": 1, "a.c": 2}),
        ("\"a.b\" = 1\n'c d' = 2\n", {"a.b": 1, "c d": 2}),
        ("t = {a = 1, b = {c = 2}}\n", {"t": 1, "t.a": 1, "t.b": 1, "t.b.c": 1}),
        ("l = [\n  1, # one\n  2,\n]\nz = 1\n", {"l": 1, "l.0": 1, "l.1": 1, "z": 5}),
        ('s = """\n[no]\nb = 1\n"""\nz = 1\n', {"s": 1, "z": 5}),
        ("s = '''\n[[no]]\n'''\nz = 1\n", {"s": 1, "z": 4}),
        (
            "[[f]]\nid = 1\n[f.sub]\nx = 1\n[[f]]\nid = 2\n[[f.list]]\ny = 1\n[[f.list]]\n",
            {
                "f": 1,
                "f.0": 1,
                "f.0.id": 2,
                "f.0.sub": 3,
                "f.0.sub.x": 4,
                "f.1": 5,
                "f.1.id": 6,
                "f.1.list": 7,
                "f.1.list.0": 7,
                "f.1.list.0.y": 8,
                "f.1.list.1": 9,
            },
        ),
        (" [ t ] # header\n\ta = 1\n", {"t": 1, "t.a": 2}),
    ],
)
def test_every_key_has_the_line_on_which_it_first_stands(
    text: str, lines: dict[str, int], newline: str
) -> None:
    """Tables, arrays of tables, dotted and quoted keys, inline tables and values of several lines."""
    assert lines_by_key(text.replace("\n", newline)) == lines
