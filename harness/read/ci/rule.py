"""The rules of issues, as hosts of CI list them: a name, what it means, and what to read about it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Rule:
    """One kind of issue."""

    title: str
    help: str  # what it means and what usually helps, one or two sentences
    page: str  # the page of the documentation


RULES = {
    # Of the run as a whole.
    "run": Rule(
        "The run cannot be judged",
        "The measurement is invalid, was interrupted, or the target died. Nothing was shown to hold.",
        "docs/commands.md#exit-status",
    ),
    "expectation": Rule(
        "An expectation is not met",
        "A figure of the report is beyond the limit of the scenario or of --fail-on, or was not measured.",
        "docs/scenario.md#expect",
    ),
    # Of a comparison.
    "slower": Rule(
        "It got slower",
        "A figure is worse by more than noise, by enough to matter, and was so again in fresh pairs of runs.",
        "docs/comparing.md#the-four-verdicts",
    ),
    "comparison": Rule(
        "It cannot be told whether it got slower",
        "The noise hides what was to be seen, or a side lacks the figure. Nothing was shown to hold.",
        "docs/comparing.md#the-four-verdicts",
    ),
    "accepted": Rule(
        "Only one side has it",
        "There is nothing to compare, and --allow-new or --allow-missing says that this is fine.",
        "docs/comparing.md#what-decides",
    ),
    "why": Rule(
        "Why it got slower",
        "This differs between base and head by more than the runs of one side differ among themselves.",
        "docs/comparing.md#why",
    ),
    "faster": Rule(
        "It got faster",
        "A figure is better by more than noise, and was so again in fresh pairs of runs.",
        "docs/comparing.md#the-four-verdicts",
    ),
    # Of `rules/`, by the names of their modules.
    "application": Rule(
        "The program's own code was not found",
        "--application names a folder, file or package that the program does not have.",
        "docs/commands.md",
    ),
    "blocks": Rule(
        "A line blocks the event loop",
        "While one turn of the loop lasts, no other task, timer or connection is served. Await the work, "
        "move it to a thread or a process, or cut it into smaller pieces.",
        "docs/blocking.md",
    ),
    "calls": Rule(
        "A synchronous call on the event loop",
        "A file, socket, DNS or subprocess call on the loop's thread makes everything else wait, however "
        "short it is. Use an asynchronous call, move it to a thread, or allow it.",
        "docs/calls.md",
    ),
    "children": Rule(
        "A child process stands still",
        "It writes to a pipe that nobody reads, or nobody waits for its end. Read the pipe with "
        "communicate() and await wait().",
        "docs/report.md#how-the-figures-are-computed",
    ),
    "deaths": Rule(
        "A task died unseen",
        "Nobody has looked at its exception, and the work that waits for it waits for ever. Await the task "
        "or run it in a TaskGroup.",
        "docs/standstills.md",
    ),
    "ending": Rule(
        "A process does not end",
        "After a signal that asks it to end, it waits at this line.",
        "docs/report.md",
    ),
    "executors": Rule(
        "Calls stand behind a full pool of threads",
        "All threads of the pool are at work, so further calls wait while the loop idles. Use a pool of "
        "their own for long calls, or a larger one.",
        "docs/executors.md",
    ),
    "faults": Rule(
        "A fault did not happen as planned",
        "The run has not measured what its scenario says.",
        "docs/scenario.md",
    ),
    "growth": Rule(
        "A buffer or queue grows without bound",
        "It is fed faster than it is emptied. Await drain(), or give the queue a limit.",
        "docs/report.md#how-the-figures-are-computed",
    ),
    "hangs": Rule(
        "The event loop hangs",
        "One turn did not come back.",
        "docs/hangs.md",
    ),
    "leases": Rule(
        "A message was delivered twice",
        "A blocked loop could not extend its lease in time.",
        "docs/brokers.md",
    ),
    "ledger": Rule(
        "A message was lost or acknowledged unsaved",
        "The ledger of the service does not add up.",
        "docs/mayhem.md",
    ),
    "load": Rule(
        "The load was not as planned",
        "It came late or was not sent, so the run has measured something else.",
        "docs/scenario.md",
    ),
    "probe": Rule(
        "A part of the probe did not work",
        "It was undone or left out; what it measures is missing.",
        "docs/starting.md",
    ),
    "processes": Rule(
        "A process was not watched",
        "There is no probe in it, or it outlived the run.",
        "docs/starting.md",
    ),
    "record": Rule(
        "The record has gaps",
        "Events were dropped or damaged, or a writer was cut off.",
        "docs/report.md#how-the-figures-are-computed",
    ),
    "spans": Rule(
        "Traces are not complete",
        "Spans have lost their parent. Hand the context over to the thread or executor with "
        "contextvars.copy_context().run.",
        "docs/report.md#how-the-figures-are-computed",
    ),
    "spins": Rule(
        "The event loop spins",
        "It burns a processor in turns that wait for nothing.",
        "docs/spinning.md",
    ),
    "standstills": Rule(
        "Nobody is served",
        "Tasks wait for a lock, a semaphore, a queue or a pool that serves none of them.",
        "docs/standstills.md",
    ),
    "target": Rule(
        "The target did not run to its end",
        "It died, or was ended because its loop did not come back.",
        "docs/commands.md#exit-status",
    ),
    "tasks": Rule(
        "Tasks are lost",
        "A task leaked, was destroyed while pending, ignored its cancellation, lost its exception, or a "
        "coroutine was never awaited. Keep a reference to each task until it is done, as "
        "asyncio.TaskGroup does.",
        "docs/report.md",
    ),
    "wakeups": Rule(
        "The event loop was not woken up",
        "Another thread or a signal's handler made a callback ready. Use call_soon_threadsafe there.",
        "docs/report.md#how-the-figures-are-computed",
    ),
}
