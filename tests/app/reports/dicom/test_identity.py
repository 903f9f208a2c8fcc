"""UIDs: the same for the same input and models, others for others."""

import re
from dataclasses import replace

import pytest

from app.reports.dicom.identity import Identity, long_string
from app.reports.schema import Models
from tests.support.reports import DIGEST, MODELS, WRITERS, analysis, case_of, full_source


def with_networks(**changes: str) -> Models:
    return MODELS.model_copy(update={"disease": MODELS.disease.model_copy(update=changes)})


IDENTITY = Identity(DIGEST, MODELS, "as_is", ())
OTHERS = {
    "upload": replace(IDENTITY, upload="b" * 64),
    "polarity": replace(IDENTITY, polarity="auto"),
    "refusals": replace(IDENTITY, refusals=("not_chest",)),
    "version": replace(IDENTITY, models=MODELS.model_copy(update={"service": "0.0.2"})),
    "build": replace(IDENTITY, models=MODELS.model_copy(update={"build": "ba9876543210"})),
    "weights": replace(IDENTITY, models=with_networks(sha256="3" * 64)),
    "precision": replace(IDENTITY, models=with_networks(precision="bfloat16")),
}


def test_a_uid_is_one_of_a_uuid() -> None:
    uid = IDENTITY.uid("report", "instance", 0.31)
    assert re.fullmatch(r"2\.25\.[1-9][0-9]{0,38}", uid)
    assert len(uid) <= 64
    assert int(uid.removeprefix("2.25.")) < 2**128


def test_stable() -> None:
    again = Identity(DIGEST, MODELS.model_copy(deep=True), "as_is", ())
    assert IDENTITY.uid("capture", "instance", 0.3) == again.uid("capture", "instance", 0.3)
    assert IDENTITY.uid("segmentation", "instance") == "2.25.167747816612340022292043522830529839875"


@pytest.mark.parametrize("other", OTHERS.values(), ids=OTHERS)
def test_another_input_or_model_has_another_uid(other: Identity) -> None:
    assert other.uid("report", "instance", 0.31) != IDENTITY.uid("report", "instance", 0.31)


def test_what_weights_are_called_does_not_matter() -> None:
    renamed = replace(IDENTITY, models=with_networks(name="the same under another name"))
    assert renamed.uid("report", "instance", 0.31) == IDENTITY.uid("report", "instance", 0.31)
    assert renamed.equipment == IDENTITY.equipment


def test_kinds_levels_and_thresholds_are_told_apart() -> None:
    uids = {
        IDENTITY.uid(kind, level, threshold)
        for kind in ("segmentation", "report", "capture")
        for level in ("series", "instance")
        for threshold in (None, 0.3, 0.31)
    }
    assert len(uids) == 18


@pytest.mark.parametrize("kind", WRITERS)
def test_the_same_bytes_each_time(kind: str) -> None:
    assert WRITERS[kind](case_of(full_source())) == WRITERS[kind](case_of(full_source()))


def test_masks_do_not_depend_on_the_threshold() -> None:
    write = WRITERS["segmentation"]
    assert write(case_of(full_source(), analysis(threshold=0.2))) == write(case_of(full_source()))


def test_any_name_of_weights_fits() -> None:
    assert long_string("Größe\\n\n" + "x" * 100) == "Gr??e/n " + "x" * 56
