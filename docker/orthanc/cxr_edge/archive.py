"""The edge's access to Orthanc: its change log, its instances, and what the edge stores in it for itself."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

import orthanc

_Answer = TypeVar("_Answer")

STATUS = "cxr-status"
"""Metadata of an instance, declared in orthanc.json: the status of its analysis."""

_CURSOR = 4801
"""Global property (those from 1024 on are free): the number up to which the change log need not be read again."""
_PAGE = 100
_UNKNOWN_RESOURCE, _BAD_FILE = 17, 15
"""OrthancPluginErrorCode: UnknownResource, BadFileFormat."""


class Gone(Exception):
    """The instance was deleted."""


class NotDicom(Exception):
    """The bytes to store cannot be parsed as DICOM."""


class Undelivered(Exception):
    """A peer did not take an instance."""


@dataclass(frozen=True)
class Change:
    """One line of the change log that concerns an instance.

    Attributes:
        sequence: its number, which grows with each change.
        is_new: whether the instance was stored; else its metadata were changed.
    """

    sequence: int
    instance: str
    is_new: bool


class Archive:
    """The Orthanc that runs this script.

    Only its built-in REST API is used, and no callback while it stores, so neither side can wait for the other.
    Failures of Orthanc that a method does not name are raised as ``orthanc.OrthancException``.
    """

    def changes(self, since: int) -> Iterator[Change]:
        """The change log after the number ``since``, to its end; read page by page."""
        done = False
        while not done:
            page = json.loads(orthanc.RestApiGet(f"/changes?since={since}&limit={_PAGE}"))
            for change in page["Changes"]:
                since = int(change["Seq"])
                if change["ChangeType"] in ("NewInstance", "UpdatedMetadata") and change["ResourceType"] == "Instance":
                    yield Change(since, change["ID"], change["ChangeType"] == "NewInstance")
            done = page["Done"]

    def cursor(self) -> int:
        """The cursor that was last saved; 0 in a new archive."""
        return int(orthanc.GetGlobalProperty(_CURSOR, "0"))

    def save_cursor(self, sequence: int) -> None:
        """Saves the cursor for the next start."""
        orthanc.SetGlobalProperty(_CURSOR, str(sequence))

    def status(self, instance: str) -> str | None:
        """The status that was last set; None for an instance without one, or one that is gone."""
        try:
            return str(orthanc.RestApiGet(f"/instances/{instance}/metadata/{STATUS}").decode(errors="replace"))
        except orthanc.OrthancException as error:
            if error.args[0] != _UNKNOWN_RESOURCE:
                raise
            return None

    def set_status(self, instance: str, status: str) -> None:
        """Stores the status with the instance; raises Gone."""
        _unless_gone(lambda: orthanc.RestApiPut(f"/instances/{instance}/metadata/{STATUS}", status.encode()))

    def sop_class(self, instance: str) -> str:
        """The UID of the SOP class, from Orthanc's index; empty where it is not known; raises Gone."""
        metadata = json.loads(_unless_gone(lambda: orthanc.RestApiGet(f"/instances/{instance}/metadata?expand")))
        return str(metadata.get("SopClassUid", ""))

    def tags(self, instance: str) -> dict[str, Any]:
        """The header by keyword, values as text; raises Gone."""
        return dict(json.loads(_unless_gone(lambda: orthanc.RestApiGet(f"/instances/{instance}/simplified-tags"))))

    def file(self, instance: str) -> bytes:
        """The DICOM file as it was received; raises Gone."""
        return bytes(_unless_gone(lambda: orthanc.RestApiGet(f"/instances/{instance}/file")))

    def store(self, dicom: bytes) -> str:
        """Stores a DICOM file, unless an instance with its UIDs exists; returns its Orthanc identifier.

        Raises:
            NotDicom: the file cannot be parsed.
        """
        try:
            answer = json.loads(orthanc.RestApiPost("/instances", dicom))
        except orthanc.OrthancException as error:
            if error.args[0] == _BAD_FILE:
                raise NotDicom from None
            raise
        return str(answer["ID"])

    def send(self, instance: str, peer: str) -> None:
        """Sends an instance to a peer by C-STORE.

        Raises:
            Gone: the instance was deleted.
            Undelivered: the peer cannot be reached or refuses.
        """
        self.sop_class(instance)
        try:
            orthanc.RestApiPost(f"/modalities/{peer}/store", instance)
        except orthanc.OrthancException as error:
            raise Undelivered(str(error.args[-1])) from None

    def reaches(self, peer: str) -> bool:
        """Whether a peer answers C-ECHO."""
        try:
            orthanc.RestApiPost(f"/modalities/{peer}/echo", "{}")
        except orthanc.OrthancException:
            return False
        return True


def _unless_gone(ask: Callable[[], _Answer]) -> _Answer:
    try:
        return ask()
    except orthanc.OrthancException as error:
        if error.args[0] == _UNKNOWN_RESOURCE:
            raise Gone from None
        raise
