"""Every metric of the service, through OpenTelemetry's API; nearly free without a meter provider.

Names and units are OpenTelemetry's where it defines them (``messaging.…``); the others begin with
``mayhem.``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from opentelemetry.metrics import CallbackOptions, Histogram, Observation, get_meter

# OpenTelemetry's recommended buckets for durations in seconds; the SDK's defaults are for milliseconds.
SECONDS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10)

# Instruments created before the provider start to record once it is set.
_meter = get_meter("harness.mayhem")
_counter = _meter.create_counter


def _durations(name: str, description: str) -> Histogram:
    return _meter.create_histogram(name, "s", description, explicit_bucket_boundaries_advisory=SECONDS)


_consumed = _counter("messaging.client.consumed.messages", "{message}", "Messages taken from the broker")
_operation = _durations("messaging.client.operation.duration", "Duration of a call to the broker")
_process = _durations("messaging.process.duration", "Time from a message's delivery to its settlement")
_settled = _counter("mayhem.settled.messages", "{message}", "How messages were settled")
_failures = _counter("mayhem.failures", "{failure}", "Exceptions by type")
_circuit = _meter.create_gauge(
    "mayhem.circuit.state", description="1 for the current state of a dependency's circuit, 0 for the others"
)
_storage_errors = _counter("mayhem.storage.errors", "{error}", "Failed calls to a broker or store")
_terminations = _counter("mayhem.host.terminations", "{host}", "Hosts that the monkey chose to terminate")
_lag = _durations("mayhem.loop.lag", "Lateness of the loop's heartbeats")
# Read on collection: name -> unit, description.
GAUGES = {
    "mayhem.loop.held": ("s", "Lateness of the loop's heartbeat right now"),
    "mayhem.loop.busy": ("1", "Share of the time in which the loop's thread was running on a CPU"),
    "mayhem.tasks": ("{task}", "Tasks that have not ended"),
    "mayhem.messages.in_hand": ("{message}", "Messages in flight"),
    "mayhem.messages.in_hand.size": ("By", "Total size of the bodies of messages in flight"),
    "mayhem.messages.pending": ("{message}", "Unsettled messages in the broker"),
    "mayhem.threads.busy": ("{thread}", "Threads in a blocking call"),
    "mayhem.threads.waiting": ("{call}", "Blocking calls that wait for a thread"),
    "mayhem.threads.oldest_wait": ("s", "Waiting time of the oldest call that waits for a thread"),
}

CIRCUIT_STATES = ("closed", "half-open", "open")


def record_consumed(system: str, count: int) -> None:
    """Count messages taken from the broker of this *system*."""
    _consumed.add(count, {"messaging.system": system})


def record_operation(system: str, operation: str, duration_s: float) -> None:
    """Record a call to the broker: ``receive``, ``ack``, ``nack``, ``dead-letter`` or ``extend``."""
    _operation.record(duration_s, {"messaging.system": system, "messaging.operation.name": operation})


def record_processed(system: str, duration_s: float) -> None:
    """Record the time from a message's delivery to its settlement."""
    _process.record(duration_s, {"messaging.system": system})


def record_settled(verdict: str) -> None:
    """Count a settled message: ``ack``, ``nack``, ``dead-letter``, or ``let-go`` if its settlement failed."""
    _settled.add(1, {"verdict": verdict})


def record_failure(kind: str) -> None:
    """Count an exception; *kind* is the name of its type, or another label with few values."""
    _failures.add(1, {"error.type": kind})


def record_circuit(dependency: str, state: str) -> None:
    """Set the state of *dependency*'s circuit, one of `CIRCUIT_STATES`."""
    for known in CIRCUIT_STATES:
        _circuit.set(known == state, {"dependency": dependency, "state": known})


def record_storage_error(system: str) -> None:
    """Count a failed call to *system*: ``sqlite``, ``nats``, ``redis`` or ``postgresql``."""
    _storage_errors.add(1, {"system": system})


def record_termination(group: str, outcome: str) -> None:
    """Count a host of *group* that was chosen: ``terminated``, ``leashed`` or ``failed``."""
    _terminations.add(1, {"group": group, "outcome": outcome})


def record_lag(lag_s: float) -> None:
    """Record the lateness of a heartbeat, in seconds."""
    _lag.record(lag_s)


def observe(reads: Mapping[str, Callable[[], float]]) -> None:
    """Register functions that return these `GAUGES`; they are called in the collecting thread."""
    for name, read in reads.items():
        unit, description = GAUGES[name]

        def read_gauge(_: CallbackOptions, read: Callable[[], float] = read) -> tuple[Observation]:
            return (Observation(read()),)

        _meter.create_observable_gauge(name, [read_gauge], unit=unit, description=description)
