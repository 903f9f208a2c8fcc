"""int8 forms of weights, made after training from what the networks see of their training radiographs."""

import random
from collections.abc import Iterator, Sequence
from typing import Final

import nncf
import numpy as np
import openvino as ov
from numpy.typing import NDArray
from openvino._offline_transformations import apply_moc_transformations

from models.pack import Case
from models.runtime.openvino import normalised
from models.runtime.stage import Stage
from models.training.radiographs import KINDS, kind_of
from models.weights.cards import Role
from models.workflow import Workflow

A_KIND: Final = 40
"""Radiographs of each kind; more change no figure."""


def draw(cases: Sequence[Case], seed: int) -> list[Case]:
    """Draws up to ``A_KIND`` radiographs of each of ``KINDS``, in random order."""
    chooser = random.Random(seed)  # noqa: S311 - nothing secret
    drawn: list[Case] = []
    for kind in KINDS:
        alike = [case for case in cases if kind_of(case) == kind]
        drawn += chooser.sample(alike, min(len(alike), A_KIND))
    chooser.shuffle(drawn)
    return drawn


def quantize(model: ov.Model, workflow: Workflow, role: Role, cases: Sequence[Case]) -> ov.Model:
    """Turns a stage's converted network to weights and activations in int8 where that costs least.

    The first convolution, which reads plain gray values, the last one, which decides, and matrix products (MA-Net's
    attention) stay in float.

    Args:
        model: the float form.
        workflow: with the same network as its stage ``role``.
        cases: what the ranges of values are measured on.
    """
    model = model.clone()
    apply_moc_transformations(model, cf=False)  # folds batch normalisation, so that what is rounded is what is computed
    seen = list(_seen(workflow, role, cases))
    layers = [one for one in model.get_ordered_ops() if one.get_type_name() in ("Convolution", "GroupConvolution")]
    kept = [layers[0], layers[-1], *(one for one in model.get_ordered_ops() if one.get_type_name() == "MatMul")]
    quantized: ov.Model = nncf.quantize(
        model,
        nncf.Dataset(seen),
        preset=nncf.QuantizationPreset.MIXED,
        subset_size=len(seen),
        ignored_scope=nncf.IgnoredScope(names=[one.get_friendly_name() for one in kept]),
    )
    return quantized


def _seen(workflow: Workflow, role: Role, cases: Sequence[Case]) -> Iterator[NDArray[np.float32]]:
    """What a stage's network takes for each case, float32 [1, 3, h, w]."""
    stage: Stage = workflow.lungs if role == "lungs" else workflow.disease
    for case in cases:
        prepared = workflow.prepare(case.pixels)
        picture = prepared.picture
        if role == "disease":
            cropped = workflow.crop_lungs(prepared, workflow.lungs.run([picture])[0][0])
            yield normalised(stage.prepare(cropped.image), stage.mean, stage.std)
        else:
            yield normalised(stage.prepare(picture), stage.mean, stage.std)
