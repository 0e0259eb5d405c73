"""Why a request of the load failed, and whose doing that was."""

from __future__ import annotations

from enum import StrEnum


class RequestFailure(StrEnum):
    """The kind of a failed request; "" in a record stands for none of these."""

    STATUS = "status"  # answered, but not with a status that counts as success
    REFUSED = "refused"  # nobody listened
    RESET = "reset"  # the connection was closed before the answer was complete
    TIMEOUT = "timeout"
    TLS = "tls"
    PROTOCOL = "protocol"  # an answer that is not HTTP
    IN_FLIGHT = "in flight"  # not sent: as many requests as the driver allows had no answer yet
    DESCRIPTORS = "descriptors"
    PORTS = "ports"
    NAME = "name"
    MEMORY = "memory"

    @property
    def is_the_drivers(self) -> bool:
        """Whether the driver could not even ask, so that the failure says nothing about the target."""
        return self in _THE_DRIVERS


_THE_DRIVERS = {
    RequestFailure.DESCRIPTORS,
    RequestFailure.PORTS,
    RequestFailure.NAME,
    RequestFailure.MEMORY,
}
