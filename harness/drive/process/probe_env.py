"""The environment that brings the probe into a program and its Python child processes."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from ...record.probe_config import VARIABLE, ProbeConfig

# The only folder of the harness that a target's Python gets to see.
ENTRY = Path(__file__).resolve().parents[2] / "probe" / "entry"


def environment(order: ProbeConfig, own: Mapping[str, str]) -> dict[str, str]:
    """The environment *own* with the probe's order, and its folder first on PYTHONPATH."""
    path = [str(ENTRY), *filter(None, [own.get("PYTHONPATH")])]
    return {**own, VARIABLE: order.text(), "PYTHONPATH": os.pathsep.join(path)}
