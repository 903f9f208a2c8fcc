"""The edge between a PACS and the scoring service: a script for Orthanc's Python plugin.

Each chest radiograph that Orthanc receives is posted to the service, and the results (DICOM Segmentation, Structured
Report, Secondary Capture) are stored into its study. Research use only. Not a medical device.

Only the standard library and Orthanc's own ``orthanc`` module are used. Receiving is never delayed: this script has no
callback that an instance has to pass, but reads Orthanc's change log in its own thread. See docs/pacs.md.
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
    ScoringService(_SETTINGS.url, _SETTINGS.key, _SETTINGS.ca, _SETTINGS.timeout_s, _SETTINGS.certificate),
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
