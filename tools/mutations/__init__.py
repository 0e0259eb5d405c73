"""Puts faults into the code, one at a time, to see whether a test notices: `python -m tools.mutations`."""
