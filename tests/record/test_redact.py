"""Passwords in URLs do not get into a record."""

from __future__ import annotations

import pytest

from harness.record.redact import without_password, without_passwords


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("redis://:geheim@127.0.0.1:6379/0", "redis://...@127.0.0.1:6379/0"),
        ("postgresql://me:ge@heim@db/shop?a=b", "postgresql://...@db/shop?a=b"),
        ("nats://token@127.0.0.1:4222", "nats://...@127.0.0.1:4222"),
        ("from nats://me:a@x to nats://you:b@y", "from nats://...@x to nats://...@y"),
    ],
)
def test_the_password_and_its_user_are_hidden(text: str, expected: str) -> None:
    """Of each URL in the text; everything else of it stays."""
    assert without_password(text) == expected


@pytest.mark.parametrize(
    "text",
    ["redis://127.0.0.1:6379/0", "sqlite:a:b@c.db", "http://127.0.0.1:80/a:b@c", "me@home"],
)
def test_what_has_no_password_stays(text: str) -> None:
    """A port is none, nor is what only looks like it."""
    assert without_password(text) == text


def test_all_texts_of_a_value_are_looked_at() -> None:
    """Keys stay, and what is no text."""
    asked = {
        "load": {"url": "http://me:geheim@127.0.0.1/", "rate": 1.5},
        "more": ["nats://a:b@c", None, True],
    }

    assert without_passwords(asked) == {
        "load": {"url": "http://...@127.0.0.1/", "rate": 1.5},
        "more": ["nats://...@c", None, True],
    }
