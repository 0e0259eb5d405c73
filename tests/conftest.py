"""What every test may use."""

from __future__ import annotations

import sys
from pathlib import Path

# Runs pytest itself, for the tests of the plugin.
pytest_plugins = ["pytester"]

# `watched.py` and its like are shared by the tests of several rooms, and installed nowhere.
sys.path.insert(0, str(Path(__file__).parent))
