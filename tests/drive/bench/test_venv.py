"""The environment of a revision: what is told where it cannot be made."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from harness.drive.bench.checkout import Checkout
from harness.drive.bench.venv import _run
from harness.errors import HarnessError, OutputError, TargetError


@pytest.mark.parametrize(
    ("words", "kind"),
    [("no matching distribution", TargetError), ("No space left on device", OutputError)],
)
def test_what_the_installer_said_last_is_told(tmp_path: Path, words: str, kind: type[HarnessError]) -> None:
    """A full disk is no fault of the revision."""
    checkout = Checkout("HEAD", "0123456789abcdef", tmp_path, tmp_path)
    program = f"raise SystemExit('\\n'.join([*map(str, range(20)), 'ERROR: {words}']))"

    with pytest.raises(kind) as raised:
        _run([sys.executable, "-I", "-S", "-c", program], checkout)
    assert str(raised.value) == "HEAD (0123456789ab): cannot be installed"
    assert raised.value.__notes__ == ["15", "16", "17", "18", "19", f"ERROR: {words}"]
