"""Finds circles of tasks that wait for each other."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from ..gil_yield import GilYielder


def circles(awaits: Mapping[int, Collection[int]]) -> list[list[int]]:
    """The circles in which each waits for the next one and the last for the first; one for each task at most.

    *awaits* says for whom a task waits: for each of them, not for any.
    """
    found: list[list[int]] = []
    done: set[int] = set()
    courtesy = GilYielder()
    for start in awaits:
        path: list[int] = []
        at: dict[int, int] = {}  # where in the path
        branches = [iter((start,))]
        while branches:
            courtesy.give_way()
            one = next(branches[-1], None)
            if one is None:
                branches.pop()
                if path:
                    last = path.pop()
                    del at[last]
                    done.add(last)
            elif one in at:
                circle = path[at[one] :]
                if not done.intersection(circle):
                    found.append(circle)
                    done.update(circle)
            elif one not in done:
                at[one] = len(path)
                path.append(one)
                branches.append(iter(awaits.get(one, ())))
    return found
