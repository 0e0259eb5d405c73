"""Turns pydantic's errors about a scenario into messages: the key, what was expected, what was given.

pydantic reports what failed, with a path that also names the alternatives that it tried. What was expected
there is read from the JSON Schema of the same model, so that no rule is written twice.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .. import redact
from .lines import Key

Node = Mapping[str, Any]  # a JSON Schema, or a part of one

# The type of an error whose message is shown as it is. In its context, `at` is the path from the value that
# was validated to the key in question, and `note` is advice.
WORDED = "scenario"
_NOUNS = {
    "array": "a list",
    "boolean": "true or false",
    "integer": "a whole number",
    "number": "a finite number",
    "string": "a string",
}


@dataclass(frozen=True, slots=True)
class Violation:
    """One thing that is wrong."""

    key: Key
    message: str
    note: str = ""
    missing: bool = False  # the key is not in the file


def violations(errors: Sequence[Mapping[str, Any]], settings: object, schema: Node) -> list[Violation]:
    """The errors of a `pydantic.ValidationError` about *settings* as violations, without duplicates."""
    # A list that is empty only because its items were refused has been told by them.
    told = [error for error in errors if error["type"] != "too_short" or not error["input"]]
    return list(dict.fromkeys(_violation(error, settings, schema) for error in told))


def show(value: object) -> str:
    """A value of a scenario as it was written, shortened."""
    if isinstance(value, Mapping):
        return "a table"
    if isinstance(value, list):
        return "a list" if value else "an empty list"
    text = json.dumps(value, ensure_ascii=False) if isinstance(value, str | bool) else str(value)
    text = redact.redacted(text)
    return text if len(text) <= 60 else text[:57] + "..."


def nearest(word: str, words: Sequence[str]) -> str:
    """``; did you mean rate_per_s?``, or "" if no word is similar."""
    near = difflib.get_close_matches(word, words, n=1)
    return f"; did you mean {near[0]}?" if near else ""


def _violation(error: Mapping[str, Any], settings: object, schema: Node) -> Violation:
    key = tuple(_key(error["loc"], settings, missing=error["type"] == "missing"))
    context = error.get("ctx", {})
    match error["type"]:
        case type_ if type_ == WORDED:
            return Violation(key + tuple(context.get("at", ())), error["msg"], context.get("note", ""))
        case "missing":
            expected = _expected(_node(error["loc"], schema), schema)
            return Violation(key, f"missing; expected {expected}", missing=True)
        case "extra_forbidden":
            known = sorted(_tables(_node(error["loc"][:-1], schema), schema))
            return Violation(
                key, f"unknown key{nearest(str(key[-1]), known)}", f"valid keys: {', '.join(known)}"
            )
        case "union_tag_invalid" | "union_tag_not_found":
            by = context["discriminator"].strip("'")
            kinds = list(_node(error["loc"], schema)["discriminator"]["mapping"])
            if by not in error["input"]:
                return Violation((*key, by), f"missing; expected one of: {', '.join(kinds)}", missing=True)
            got = error["input"][by]
            return Violation(
                (*key, by),
                f"unknown {by} {show(got)}{nearest(str(got), kinds)}",
                f"valid values of {by}: {', '.join(kinds)}",
            )
    expected = _expected(_node(error["loc"], schema), schema)
    return Violation(key, f"expected {expected}, got {show(error['input'])}")


def _key(loc: Key, settings: object, *, missing: bool) -> Iterator[str | int]:
    """*loc* without the names of alternatives, which are not in the file."""
    here: Any = settings
    for depth, part in enumerate(loc, start=1):
        try:
            here = here[part]
        except (LookupError, TypeError):
            if not (missing and depth == len(loc)):
                continue
        yield part


def _node(loc: Key, schema: Node) -> Node:
    node = schema
    for part in loc:
        node = _resolved(node, schema)
        if part in node.get("properties", {}):
            node = node["properties"][part]
        elif "items" in node:
            node = node["items"]
        elif part in node.get("discriminator", {}).get("mapping", {}):
            node = {"$ref": node["discriminator"]["mapping"][part]}
        elif "oneOf" in node:
            node = next((option for option in node["oneOf"] if part in _tables(option, schema)), node)
        elif isinstance(node.get("additionalProperties"), Mapping):
            node = node["additionalProperties"]
        elif "patternProperties" in node:
            (node,) = node["patternProperties"].values()
    return _resolved(node, schema)


def _resolved(node: Node, schema: Node) -> Node:
    """*node* with its reference followed; of "X or null", X."""
    if "$ref" in node:
        return _resolved(schema["$defs"][node["$ref"].rpartition("/")[2]], schema)
    some = [option for option in node.get("anyOf", ()) if option.get("type") != "null"]
    return _resolved(some[0], schema) if len(some) == 1 else node


def _tables(node: Node, schema: Node) -> set[str]:
    """The keys of a table; for alternatives, the keys of all of them."""
    node = _resolved(node, schema)
    return set(node.get("properties", {})).union(
        *(_tables(option, schema) for option in node.get("oneOf", ()))
    )


def _expected(node: Node, schema: Node) -> str:
    """What the schema expects, as a noun: ``a finite number > 0``."""
    if "oneOf" in node and "discriminator" not in node:
        return f"a table with one of: {', '.join(sorted(_tables(node, schema)))}"
    if "const" in node:
        return show(node["const"])
    if "enum" in node:
        return f"one of {', '.join(map(show, node['enum']))}"
    if "examples" in node:
        return f"a string such as {' or '.join(map(show, node['examples']))}"
    if node.get("format") == "regex":
        return "a regular expression"
    if "anyOf" in node:
        return " or ".join(_expected(_resolved(option, schema), schema) for option in node["anyOf"])
    noun = _NOUNS.get(node.get("type", ""), "a table")
    if node.get("minLength") or node.get("minItems"):
        noun = noun.replace("a ", "a non-empty ")
    return noun + _bounds(node)


def _bounds(node: Node) -> str:
    signs = {"exclusiveMinimum": ">", "minimum": ">=", "maximum": "<="}
    bounds = " and ".join(f"{sign} {node[name]:g}" for name, sign in signs.items() if name in node)
    return bounds and f" {bounds}"
