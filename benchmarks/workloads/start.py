"""Starts a program and prints what the whole of it cost: processor, wall clock, peak memory.

``python -I start.py PROGRAM [ARG...]``. A process of its own, because a process begins with the peak memory
of the one that started it, and pytest's is larger than the program's; -I, so that the probe stays out of it.
"""

import json
import os
import sys
import time

program = sys.argv[1]
began_ns = time.perf_counter_ns()
pid = os.posix_spawn(program, sys.argv[1:], os.environ)
_, status, usage = os.wait4(pid, 0)
wall_ms = (time.perf_counter_ns() - began_ns) / 1e6
cpu_ms = (usage.ru_utime + usage.ru_stime) * 1e3
print(json.dumps({"cpu_ms": cpu_ms, "wall_ms": wall_ms, "peak_mb": usage.ru_maxrss * 1024 / 1e6}))
sys.exit(os.waitstatus_to_exitcode(status))
