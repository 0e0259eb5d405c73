"""A client of the console may look into the process from outside while it is connected (Yama)."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import sys
from pathlib import Path
from harness.console.server import inspection

inspection._SCOPE = Path(sys.argv[1])
right = inspection.InspectionRight()
right.grant(4711)
right.grant(4712)
right.grant(0)
right.withdraw(4712)
right.withdraw(4711)
right.withdraw(4711)
"""


@pytest.mark.parametrize(("scope", "named"), [("1", [4711, 4712, 4711, 0]), ("0", [])])
def test_the_latest_client_is_named_where_the_kernel_restricts_it(
    tmp_path: Path, scope: str, named: list[int]
) -> None:
    """The process names each client to the kernel, then the one before it, and nobody in the end."""
    if not shutil.which("strace"):
        pytest.skip("strace is not installed")
    file = tmp_path / "ptrace_scope"
    file.write_text(f"{scope}\n")
    command = ["strace", "-f", "-e", "trace=prctl", "-o", str(tmp_path / "calls"), sys.executable]
    subprocess.run([*command, "-c", PROGRAM, str(file)], check=True)

    calls = re.findall(r"prctl\(PR_SET_PTRACER, (\w+)", (tmp_path / "calls").read_text())
    assert [int(pid, 0) for pid in calls] == named
