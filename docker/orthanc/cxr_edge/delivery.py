"""Sends results to the peer that should have them, by C-STORE."""

import time
from dataclasses import dataclass

import orthanc

from cxr_edge.archive import Archive, Undelivered
from cxr_edge.service import Away, Unanswered
from cxr_edge.waiting import wait_seconds


@dataclass
class Delivery:
    """Delivery to one peer. While it is away, only a single result is tried now and then: each try costs a timeout.

    Attributes:
        peer: its name among the peers.
        longest_wait_s: longest wait between two tries.
    """

    archive: Archive
    peer: str
    longest_wait_s: float
    _tries: int = 0
    _due: float = 0.0

    def deliver(self, instance: str) -> None:
        """Sends an instance; a peer that has it already takes it again.

        Raises:
            Away: the peer cannot be reached; the instance is not the cause.
            Unanswered: the peer can be reached, but did not accept the instance.
        """
        if time.monotonic() < self._due:
            raise Away(self.peer)
        try:
            self.archive.send(instance, self.peer)
        except Undelivered:
            if self.archive.reaches(self.peer):
                raise Unanswered(f"{self.peer} does not take it") from None
            if not self._tries:
                orthanc.LogWarning(f"cxr-edge: waiting for {self.peer}")
            self._tries += 1
            self._due = time.monotonic() + wait_seconds(self._tries, self.longest_wait_s)
            raise Away(self.peer) from None
        if self._tries:
            orthanc.LogWarning(f"cxr-edge: {self.peer} is back")
        self._tries = 0
