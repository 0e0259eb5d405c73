"""The environment variables that load the probe into a program and its Python child processes."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from ...record.probe_config import VARIABLE, ProbeConfig

# The only folder of the harness on the target's import path.
ENTRY = Path(__file__).resolve().parents[2] / "probe" / "entry"


def environment(config: ProbeConfig, own: Mapping[str, str]) -> dict[str, str]:
    """The environment *own* with the probe's config, and its folder first on PYTHONPATH."""
    path = [str(ENTRY), *filter(None, [own.get("PYTHONPATH")])]
    return {**own, VARIABLE: config.text(), "PYTHONPATH": os.pathsep.join(path)}
