"""The edge between a PACS and the scoring service: a script for Orthanc's Python plugin.

Each chest radiograph that Orthanc receives is posted to the service, and what comes back (DICOM Segmentation,
Structured Report, Secondary Capture) is stored into the study it belongs to.
Research use only. Not a medical device.

Only the standard library is used, and Orthanc's own ``orthanc`` module. Receiving is never held up: this script has no
callback on the way of an instance, it reads Orthanc's change log in a thread of its own. See docs/pacs.md.
"""

import os

import orthanc

from cxr_edge.archive import Archive
from cxr_edge.delivery import Delivery
from cxr_edge.service import ScoringService
from cxr_edge.settings import Settings
from cxr_edge.worker import Worker

_SETTINGS = Settings.read(os.environ)
_ARCHIVE = Archive()
_WORKER = Worker(
    _SETTINGS,
    ScoringService(_SETTINGS.url, _SETTINGS.key, _SETTINGS.ca, _SETTINGS.timeout_s),
    _ARCHIVE,
    Delivery(_ARCHIVE, _SETTINGS.forward, _SETTINGS.longest_wait_s),
)


def on_change(kind: int, _level: int, _resource: str) -> None:
    """Called by Orthanc, in a thread that no sender waits for."""
    if kind == orthanc.ChangeType.ORTHANC_STARTED:
        _WORKER.start()
    elif kind == orthanc.ChangeType.ORTHANC_STOPPED:
        _WORKER.stop()
    elif kind in (orthanc.ChangeType.NEW_INSTANCE, orthanc.ChangeType.UPDATED_METADATA):
        _WORKER.wake()


orthanc.RegisterOnChangeCallback(on_change)
