"""The nine segmentation architectures of Danilov et al. (Sci Rep 12:12791), for both stages.

Weights are never looked up anywhere: every network is built untrained and filled from a checkpoint.
"""

import difflib
import inspect
import re
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import segmentation_models_pytorch as smp
import timm
from segmentation_models_pytorch.encoders import encoders as SMP_ENCODERS
from segmentation_models_pytorch.encoders import get_encoder, is_equivalent_to_timm_universal
from torch import nn

from models.weights.architectures import UnknownNetworkError, canonical_architecture

ARCHITECTURES: Mapping[str, type[nn.Module]] = {
    "Unet": smp.Unet,
    "Unet++": smp.UnetPlusPlus,
    "DeepLabV3": smp.DeepLabV3,
    "DeepLabV3+": smp.DeepLabV3Plus,
    "FPN": smp.FPN,
    "Linknet": smp.Linknet,
    "PSPNet": smp.PSPNet,
    "PAN": smp.PAN,
    "MAnet": smp.MAnet,
}

# The modules of these encoders that stood at strides 16 and 32 when the networks were published. Such a name
# is an alias of a timm model today, and timm lays the dilation out differently from the library of 2021.
_PUBLISHED_STAGES: Mapping[str, Mapping[int, tuple[str, ...]]] = {
    "timm-regnet": {16: ("s3",), 32: ("s4",)},
    "timm-gernet": {16: ("stages_2",), 32: ("stages_3", "stages_4", "final_conv")},
    "timm-mobilenetv3_small": {16: ("blocks.2", "blocks.3"), 32: ("blocks.4", "blocks.5")},
    "timm-mobilenetv3_large": {16: ("blocks.3", "blocks.4"), 32: ("blocks.5", "blocks.6")},
}

# The same for every network of this workflow, so not options.
_FIXED = frozenset({"encoder_name", "encoder_weights", "in_channels", "classes", "activation", "aux_params"})

# Whatever timm or a constructor raises on options that do not fit.
_BUILD_ERRORS = (AssertionError, AttributeError, LookupError, RuntimeError, TypeError, ValueError)


def check_encoder(encoder: str) -> None:
    """Refuses an encoder that cannot be built from the installed libraries alone.

    Raises:
        UnknownNetworkError: no such encoder, or a name that would make timm ask a model hub.
    """
    model = _timm_model(encoder)
    if model is None:
        known = encoder in SMP_ENCODERS
    else:
        # A scheme such as "hf-hub:" would be resolved over the network.
        known = re.fullmatch(r"[\w.]+", model) is not None and timm.is_model(model)
    if not known:
        near = difflib.get_close_matches(encoder, list(SMP_ENCODERS), n=3)
        hint = f" (near: {', '.join(near)})" if near else ""
        raise UnknownNetworkError(f"unknown encoder {encoder!r}{hint}")


def is_timm_alias(encoder: str) -> bool:
    """Whether a published name (``timm-regnetx_032``) builds a timm model under another name today."""
    return bool(is_equivalent_to_timm_universal(encoder))


def build_network(
    architecture: str,
    encoder: str,
    *,
    classification_head: bool = False,
    options: Mapping[str, Any] | None = None,
) -> nn.Module:
    """An untrained network that answers a probability map, or (map, label) with a classification head.

    Args:
        architecture: a key of ``ARCHITECTURES`` or another spelling of one.
        encoder: any segmentation-models-pytorch encoder name (``tu-`` for timm's).
        classification_head: adds the published head (average pooling, dropout 0.2, one sigmoid).
        options: further constructor arguments of the architecture, such as ``decoder_channels``.

    Returns:
        A module float32 [N, 3, H, W] -> float32 [N, 1, H, W] of probabilities, with a head also [N, 1].
        H and W are multiples of 32.

    Raises:
        UnknownNetworkError: no such architecture or encoder, or they cannot be combined so.
    """
    architecture = canonical_architecture(architecture)
    check_encoder(encoder)
    _check_options(architecture, options or {})
    head = {"pooling": "avg", "dropout": 0.2, "activation": "sigmoid", "classes": 1}
    arguments: dict[str, Any] = {
        **(options or {}),
        "encoder_name": encoder,
        "encoder_weights": None,
        "in_channels": 3,
        "classes": 1,
        "activation": "sigmoid",
        "aux_params": head if classification_head else None,
    }
    try:
        with _published_names():
            network = ARCHITECTURES[architecture](**arguments)
    except _BUILD_ERRORS as error:
        reason = " ".join(str(error).split())
        message = f"cannot build {architecture} with encoder {encoder!r}: {reason}"
        raise UnknownNetworkError(message) from error
    _restore_published_dilation(network, encoder)
    return network


def unused_encoder_shapes(network: nn.Module, encoder: str) -> dict[str, tuple[int, ...]]:
    """Tensors the published encoder had and today's leaves out, because the network never runs those stages.

    An alias of a timm encoder is cut to the depth its architecture asks for (PSPNet: three stages); when the
    networks were published it was whole.

    Args:
        network: what ``build_network`` returned.
        encoder: the encoder's name given there.

    Returns:
        Key -> shape of the dropped stages, keys as in today's state dict; empty for most networks.
    """
    part = network.get_submodule("encoder")
    if not is_timm_alias(encoder) or getattr(part, "_depth", 5) >= 5:
        return {}
    with _published_names():
        whole = get_encoder(encoder, depth=5, weights=None).state_dict()
    kept = part.state_dict()
    return {f"encoder.{key}": tuple(value.shape) for key, value in whole.items() if key not in kept}


def _check_options(architecture: str, options: Mapping[str, Any]) -> None:
    """Refuses what the constructor would drop silently or hand on to timm, which can fetch files."""
    parameters = inspect.signature(ARCHITECTURES[architecture]).parameters.values()
    allowed = {each.name for each in parameters if each.kind is not inspect.Parameter.VAR_KEYWORD} - _FIXED
    for name in options:
        if name not in allowed:
            near = ", ".join(sorted(allowed))
            raise UnknownNetworkError(f"cannot build {architecture} with the option {name!r}: one of {near}")


@contextmanager
def _published_names() -> Iterator[None]:
    """Keeps the library quiet about the encoder names of 2021: the checkpoints are called by them."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "`timm-` encoders are deprecated", DeprecationWarning)
        yield


def _timm_model(encoder: str) -> str | None:
    """The timm model that stands behind an encoder's name, or None for the library's own encoders."""
    if is_timm_alias(encoder):
        name = encoder.removeprefix("timm-")
        return f"tf_{name}" if name.startswith("mobilenetv3") else name
    return encoder.removeprefix("tu-") if encoder.startswith("tu-") else None


def _restore_published_dilation(network: nn.Module, encoder: str) -> None:
    """Dilates the deep stages of a timm alias as the published networks had it: every convolution alike.

    timm instead gives a stage's first block the dilation of the stage before it.
    """
    stages = next((stages for prefix, stages in _PUBLISHED_STAGES.items() if encoder.startswith(prefix)), {})
    part = network.get_submodule("encoder")
    output_stride = int(getattr(part, "output_stride", 32))
    modules = dict(part.get_submodule("model").named_modules()) if stages else {}
    for stride, names in stages.items():
        if stride > output_stride:
            for name in names:
                if name in modules:
                    _dilate(modules[name], stride // output_stride)


def _dilate(stage: nn.Module, rate: int) -> None:
    """Gives every convolution of a stage stride 1 and the dilation ``rate``; the picture keeps its size."""
    for module in stage.modules():
        if isinstance(module, nn.Conv2d):
            height, width = module.kernel_size
            module.stride = (1, 1)
            module.dilation = (rate, rate)
            module.padding = (height // 2 * rate, width // 2 * rate)
