"""Secrets do not get into a record."""

from __future__ import annotations

import pytest

from harness.record import redact
from harness.record.redact import redacted, redacted_command, redacted_settings, without_password


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
    assert redacted(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("http://h/a?user=me&access_token=s3cr3t&x=1", "http://h/a?user=me&access_token=...&x=1"),
        ('{"user": "me", "password": "s3cr3t"}', '{"user": "me", "password": "..."}'),
        ("Authorization: Bearer s3cr3t", "Authorization: Bearer ..."),
        ("sent Basic dXNlcjpwYXNz to h", "sent Basic ... to h"),
        ("API_KEY=abc", "API_KEY=..."),
        ("password=${DB_PASSWORD}", "password=${DB_PASSWORD}"),
    ],
)
def test_what_is_named_as_a_secret_is_hidden(text: str, expected: str) -> None:
    """In queries, bodies, headers and assignments; a reference to the environment is no secret."""
    assert redacted(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        *("redis://127.0.0.1:6379/0", "sqlite:a:b@c.db", "http://127.0.0.1:80/a:b@c", "me@home"),
        *("Basic authentication is refused", "40 tokens", "the session of a user", "keyboard=us"),
    ],
)
def test_what_is_no_secret_stays(text: str) -> None:
    """A port is none, nor is what only looks like one."""
    assert without_password(text) == text
    assert redacted(text) == text


def test_a_secret_of_a_command_is_hidden_beside_its_option() -> None:
    """As the next argument, in the same one, and in a URL; options and other arguments stay."""
    command = ["svc", "--token", "abc", "--db-password=abc", "--secret", "--fast", "nats://a:b@c", "abc"]

    assert redacted_command(command) == (
        *("svc", "--token", "...", "--db-password=...", "--secret", "--fast", "nats://...@c", "abc"),
    )


def test_all_texts_of_a_value_are_looked_at() -> None:
    """Keys stay, and what is no text."""
    asked = {
        "load": {
            "url": "http://me:geheim@127.0.0.1/",
            "rate": 1.5,
            "headers": {"Authorization": "Bearer abc", "x-api-key": "${KEY}", "accept": "*/*"},
        },
        "more": ["nats://a:b@c", None, True],
        "command": ["prog", "--password", "abc"],
    }

    assert redacted_settings(asked) == {
        "load": {
            "url": "http://...@127.0.0.1/",
            "rate": 1.5,
            "headers": {"Authorization": "...", "x-api-key": "${KEY}", "accept": "*/*"},
        },
        "more": ["nats://...@c", None, True],
        "command": ["prog", "--password", "..."],
    }


def test_a_learned_value_is_hidden_wherever_it_stands() -> None:
    """Also where nothing tells that it is one; a short one, such as a port, stays."""
    redact.learn({"zx81-spectrum": "${MACHINE}", "8081": "${PORT}"})

    assert redacted("cannot reach zx81-spectrum at 8081") == "cannot reach ${MACHINE} at 8081"
    assert redacted_command(["svc", "zx81-spectrum"]) == ("svc", "${MACHINE}")
    assert redact.known()["zx81-spectrum"] == "${MACHINE}"


@pytest.mark.timeout(20)
@pytest.mark.parametrize("word", ["a" * 200_000, "token" * 40_000, "-" * 200_000 + "token", "x://" * 50_000])
def test_a_word_of_any_length_is_looked_through_in_little_time(word: str) -> None:
    """It was quadratic: a process with such an argument began seconds later."""
    text = f'{word} "token": "abc123" ://user:pass@host'

    assert "abc123" not in redact.redacted(text)
    assert redact.redacted_command(["python", word])[0] == "python"


def test_a_long_argument_is_cut_and_what_was_learned_is_hidden_before() -> None:
    """So that no half of a secret stays at its end."""
    redact.learn({"0123456789": "${ID}"})
    (shown,) = redact.redacted_command(["x" * (redact.ARGUMENT_CHARS - 5) + "0123456789" + "y" * 100])

    assert len(shown) == redact.ARGUMENT_CHARS + 1
    assert "0123" not in shown
