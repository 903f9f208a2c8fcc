"""UIDs of the written objects, which are the same for the same input and models, and the equipment's names."""

from dataclasses import dataclass
from typing import Final, Literal, TypeAlias, TypedDict
from uuid import UUID, uuid5

from app.reports.schema import Model, Models

Kind: TypeAlias = Literal["segmentation", "report", "capture", "presentation", "fhir"]

PRODUCT: Final = "cxr-severity"
_NAMESPACE: Final = UUID("6a1b6f0e-6d1c-5c39-9b4f-6c0f3a52d6f1")
_MAX_LONG_STRING: Final = 64


class Equipment(TypedDict):
    """The equipment that made an object, as arguments for highdicom's constructors."""

    manufacturer: str
    manufacturer_model_name: str
    device_serial_number: str
    software_versions: str


@dataclass(frozen=True, slots=True)
class Identity:
    """What determines an object's UIDs.

    The same radiograph sent twice gives the same object twice, which an archive keeps once.

    Attributes:
        upload: SHA-256 of the uploaded bytes.
        models: the weights and the service's build.
        polarity: how an inverted picture was treated.
        refusals: the flags because of which there is no score, as settings decide some of them.
    """

    upload: str
    models: Models
    polarity: str
    refusals: tuple[str, ...]

    def uid(self, kind: Kind, level: str, threshold: float | None = None) -> str:
        """A UID under 2.25, derived from a name-based UUID (DICOM PS3.5, section B.2; RFC 9562, section 5.5).

        Args:
            level: what the UID names (series, instance, …).
            threshold: only for what depends on it. Masks do not, so reports with any threshold share one segmentation.
        """
        return self._derived(kind, level, self.upload, self.polarity, repr(threshold), *self.refusals)

    @property
    def device_uid(self) -> str:
        """The UID of this version with these weights, wherever it runs."""
        return self._derived("device")

    @property
    def serial_number(self) -> str:
        """A serial number for this pair of weights, as equipment modules require one."""
        return uuid5(_NAMESPACE, "\n".join(self._networks)).hex[:16]

    @property
    def equipment(self) -> Equipment:
        """The module Enhanced General Equipment (DICOM PS3.3, section C.7.5.2)."""
        return {
            "manufacturer": PRODUCT,
            "manufacturer_model_name": PRODUCT,
            "device_serial_number": self.serial_number,
            "software_versions": self.models.version,
        }

    @property
    def _networks(self) -> tuple[str, ...]:
        """Each network by what determines its output, which its card's name does not."""
        return tuple(
            f"{model.sha256 or model.name} {model.precision}" for model in (self.models.lungs, self.models.disease)
        )

    def _derived(self, *names: str) -> str:
        name = "\n".join((*names, *self._networks, self.models.version))
        return f"2.25.{uuid5(_NAMESPACE, name).int}"


def long_string(text: str) -> str:
    """``text`` made valid for the VR LO in any character set, as a card may have any name."""
    plain = text.encode("ascii", "replace").decode().replace("\\", "/")
    return "".join(letter if letter.isprintable() else " " for letter in plain)[:_MAX_LONG_STRING]


def weights_parameters(model: Model) -> dict[str, str]:
    """The weights as parameters of an algorithm identification."""
    return {
        "weights": long_string(model.name),
        "architecture": long_string(model.architecture),
        "encoder": long_string(model.encoder),
        "sha256": model.sha256 or "unknown",
    }
