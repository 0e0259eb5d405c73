"""Finds cycles of tasks that wait for each other."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping


def cycles(
    awaits: Mapping[int, Collection[int]], pause: Callable[[], None] = lambda: None
) -> list[list[int]]:
    """The cycles in which each task waits for the next and the last for the first; at most one for each task.

    *awaits* has, for each task, the tasks that it waits for: for all of them, not for any. *pause* is called
    often.
    """
    found: list[list[int]] = []
    done: set[int] = set()
    for start in awaits:
        path: list[int] = []
        at: dict[int, int] = {}  # positions in the path
        branches = [iter((start,))]
        while branches:
            pause()
            if (task := next(branches[-1], None)) is None:
                branches.pop()
                if path:
                    last = path.pop()
                    del at[last]
                    done.add(last)
            elif task in at:
                cycle = path[at[task] :]
                if not done.intersection(cycle):
                    found.append(cycle)
                    done.update(cycle)
            elif task not in done:
                at[task] = len(path)
                path.append(task)
                branches.append(iter(awaits.get(task, ())))
    return found
