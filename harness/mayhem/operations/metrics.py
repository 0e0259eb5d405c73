"""Every metric of the service in one place, through OpenTelemetry's API: without a meter provider they cost
next to nothing.

Names and units are OpenTelemetry's where it has any (``messaging.…``), ours begin with ``mayhem.``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from opentelemetry.metrics import CallbackOptions, Observation, get_meter

# OpenTelemetry's recommendation for durations in seconds; the SDK's own limits are for milliseconds.
SECONDS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10)

# Instruments made before there is a provider come to life with it.
_meter = get_meter("harness.mayhem")

_consumed = _meter.create_counter(
    "messaging.client.consumed.messages", unit="{message}", description="Messages taken from the broker"
)
_operation = _meter.create_histogram(
    "messaging.client.operation.duration",
    unit="s",
    description="How long the broker took for a call",
    explicit_bucket_boundaries_advisory=SECONDS,
)
_process = _meter.create_histogram(
    "messaging.process.duration",
    unit="s",
    description="From a message's delivery to its settlement",
    explicit_bucket_boundaries_advisory=SECONDS,
)
_settled = _meter.create_counter(
    "mayhem.settled.messages", unit="{message}", description="What became of the messages in hand"
)
_failures = _meter.create_counter(
    "mayhem.failures", unit="{failure}", description="Exceptions, by their type, wherever they ended"
)
_circuit = _meter.create_gauge(
    "mayhem.circuit.state", description="1 for the state a dependency's circuit is in, 0 for the others"
)
_storage_errors = _meter.create_counter(
    "mayhem.storage.errors", unit="{error}", description="Calls that a broker or store refused or left"
)
_terminations = _meter.create_counter(
    "mayhem.host.terminations", unit="{host}", description="Hosts that were chosen to be terminated"
)
_lag = _meter.create_histogram(
    "mayhem.loop.lag",
    unit="s",
    description="How late the loop's beat comes",
    explicit_bucket_boundaries_advisory=SECONDS,
)
# What is looked at when somebody asks: name -> unit, description.
GAUGES = {
    "mayhem.loop.held": ("s", "How late the loop's beat is right now"),
    "mayhem.loop.busy": ("1", "Share of the time in which the loop's thread had a processor"),
    "mayhem.tasks": ("{task}", "Tasks that have not ended"),
    "mayhem.messages.in_hand": ("{message}", "Messages taken and not settled"),
    "mayhem.messages.in_hand.size": ("By", "Their bodies"),
    "mayhem.messages.pending": ("{message}", "Messages in the broker that are not settled"),
    "mayhem.threads.busy": ("{thread}", "ThreadPool in a blocking call"),
    "mayhem.threads.waiting": ("{call}", "Blocking calls that wait for a thread"),
    "mayhem.threads.oldest_wait": ("s", "How long the first of those has waited"),
}

CIRCUIT_STATES = ("closed", "half-open", "open")


def record_consumed(system: str, count: int) -> None:
    """*count* messages came from the broker of this *system*."""
    _consumed.add(count, {"messaging.system": system})


def record_operation(system: str, operation: str, duration_s: float) -> None:
    """A call of the broker took so long: ``receive``, ``ack``, ``nack``, ``dead-letter``, ``extend``."""
    _operation.record(duration_s, {"messaging.system": system, "messaging.operation.name": operation})


def record_processed(system: str, duration_s: float) -> None:
    """A message took so long from its delivery to its settlement, whatever the end."""
    _process.record(duration_s, {"messaging.system": system})


def record_settled(verdict: str) -> None:
    """A message was settled: ``ack``, ``nack``, ``dead-letter`` or ``let-go``."""
    _settled.add(1, {"verdict": verdict})


def record_failure(kind: str) -> None:
    """An exception ended somewhere; *kind* is the name of its type, or anything as bounded."""
    _failures.add(1, {"error.type": kind})


def record_circuit(dependency: str, state: str) -> None:
    """The circuit of *dependency* is in *state*, one of `CIRCUIT_STATES`."""
    for known in CIRCUIT_STATES:
        _circuit.set(known == state, {"dependency": dependency, "state": known})


def record_storage_error(system: str) -> None:
    """A call of this *system* failed: ``sqlite``, ``nats``, ``redis``, ``postgresql``."""
    _storage_errors.add(1, {"system": system})


def record_termination(group: str, outcome: str) -> None:
    """A host of *group* was chosen: ``terminated``, ``leashed`` or ``failed``."""
    _terminations.add(1, {"group": group, "outcome": outcome})


def record_lag(lag_s: float) -> None:
    """The loop's beat came so late."""
    _lag.record(lag_s)


def observe(reads: Mapping[str, Callable[[], float]]) -> None:
    """Have these `GAUGES` read whenever somebody asks for them, in that one's thread."""
    for name, read in reads.items():
        unit, description = GAUGES[name]

        def look(_: CallbackOptions, read: Callable[[], float] = read) -> tuple[Observation]:
            return (Observation(read()),)

        _meter.create_observable_gauge(name, [look], unit=unit, description=description)
