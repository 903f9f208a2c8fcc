"""``make bom``: lists what the images are made of, and what the models are, as CycloneDX bills of materials.

An image's bill has the locked Python packages with their hashes and licences and, where the image is built, Debian's
packages; the models' bill has the networks with their model cards, and the data that they come from with its licences.
Each is checked against the schema of CycloneDX before it is written.
"""

import argparse
import hashlib
import json
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from email.parser import HeaderParser
from importlib.metadata import Distribution, distributions
from pathlib import Path
from typing import Any

from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.contrib.this.builders import this_component
from cyclonedx.model import ExternalReference, ExternalReferenceType, HashAlgorithm, HashType, XsUri
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.model.license import License
from cyclonedx.output.json import JsonV1Dot6
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packageurl import PackageURL

ROOT = Path(__file__).parents[1]
VARIANTS = ("cpu", "cuda")
WEIGHTS = ROOT / "models" / "weights"
TASKS = {"lungs": "segmentation of the lungs", "disease": "segmentation of opacities in the lungs"}
PURPOSE = "Research use only. Not a medical device."

_LOCKED = re.compile(r"^([\w.-]+)==(\S+) ((?:\\\n +--hash=sha256:\w+ ?)+)", re.MULTILINE)
_LONGEST_NAME = 100


class BomError(Exception):
    """A bill that is not valid, or that would not be complete."""


def image_bill(variant: str, installed: Mapping[str, Distribution], debian: Path | None) -> str:
    """The bill of an image, in JSON.

    Args:
        variant: ``cpu`` or ``cuda``.
        installed: the image's Python packages by name, or those of another environment: licences are read there.
        debian: where the image's ``/var/lib/dpkg/status`` and ``/usr/lib/os-release`` lie; None: without Debian's.

    Raises:
        BomError: a locked package is not installed, or the bill is not valid.
    """
    lock = ROOT / "docker" / f"requirements-{variant}.txt"
    service = installed["cxr-severity"]
    image = Component(
        type=ComponentType.CONTAINER,
        name="cxr-severity",
        bom_ref="image",
        version=f"{service.version.partition('+')[0]}-{variant}",
        description=PURPOSE,
        licenses=_licences(service),
    )
    application = Component(
        type=ComponentType.APPLICATION,
        name="cxr-severity",
        bom_ref="service",
        version=service.version,
        licenses=_licences(service),
    )
    packages = _python_packages(lock, installed)
    return _bill(image, [application, *packages, *(debian_packages(debian) if debian else ())])


def models_bill() -> str:
    """The bill of the embedded models, in JSON; raises BomError if it is not valid."""
    cards = {role: json.loads((WEIGHTS / f"{role}.json").read_text(encoding="utf-8")) for role in TASKS}
    networks = [_network(role, card) for role, card in cards.items()]
    quality = Component(
        type=ComponentType.MACHINE_LEARNING_MODEL,
        name="quality",
        bom_ref="quality",
        description="Tells whether a picture is a frontal chest radiograph, from features of the picture.",
        hashes=[_digest(WEIGHTS / "quality.json")],
        licenses=[LicenseFactory().make_with_name(cards["lungs"]["licence"])],
    )
    models = Component(
        type=ComponentType.APPLICATION, name="cxr-severity models", bom_ref="models", description=PURPOSE
    )
    described = {role: _model_card(role, card) for role, card in cards.items()}
    return _bill(models, [*networks, quality, *_data()], described)


def _python_packages(lock: Path, installed: Mapping[str, Distribution]) -> Iterator[Component]:
    for name, version, hashes in _LOCKED.findall(lock.read_text(encoding="utf-8")):
        if name not in installed:
            raise BomError(f"{lock.name}: {name} is not installed, so its licence is not known")
        # The digests of every file that may be installed: which one was depends on the machine.
        files = ExternalReference(
            type=ExternalReferenceType.DISTRIBUTION,
            url=XsUri(f"https://pypi.org/project/{name}/{version}/#files"),
            hashes=[HashType(alg=HashAlgorithm.SHA_256, content=digest) for digest in re.findall(r":(\w+)", hashes)],
        )
        purl = PackageURL("pypi", None, name, version)
        yield Component(
            type=ComponentType.LIBRARY,
            name=name,
            version=version,
            purl=purl,
            bom_ref=str(purl),
            licenses=_licences(installed[name]),
            external_references=[files],
        )


def _licences(package: Distribution) -> list[License]:
    """As the package states them; none where it says nothing."""
    known = package.metadata
    named, expression = (known.get_all(field, [""])[0] for field in ("License", "License-Expression"))
    classified = [line for line in known.get_all("Classifier", []) if line.startswith("License ::")]
    # The field may also hold the whole text of the licence.
    stated = expression or ("" if len(named) > _LONGEST_NAME else named) or "; ".join(classified)
    return [_licence(stated)] if stated else []


def debian_packages(root: Path) -> Iterator[Component]:
    """The system and its installed packages; their licences are in the image, under ``/usr/share/doc``."""
    release = dict(
        line.replace('"', "").split("=", 1)
        for line in (root / "usr/lib/os-release").read_text(encoding="utf-8").splitlines()
        if "=" in line
    )
    system, version = release["ID"], release["VERSION_ID"]
    yield Component(type=ComponentType.OPERATING_SYSTEM, name=system, version=version, bom_ref=system)
    for paragraph in (root / "var/lib/dpkg/status").read_text(encoding="utf-8").strip().split("\n\n"):
        package = HeaderParser().parsestr(paragraph)
        if package["Status"] != "install ok installed":
            continue
        qualifiers = {"arch": package["Architecture"], "distro": f"{system}-{version}"}
        # Advisories are about source packages.
        if source := package["Source"]:
            qualifiers["upstream"] = re.sub(r" \((.+)\)", r"@\1", source)
        purl = PackageURL("deb", system, package["Package"], package["Version"], qualifiers)
        yield Component(
            type=ComponentType.LIBRARY,
            name=package["Package"],
            version=package["Version"],
            purl=purl,
            bom_ref=str(purl),
        )


def _network(role: str, card: Mapping[str, Any]) -> Component:
    """A network with its files: as trained, and converted."""
    weights = WEIGHTS / f"{role}.safetensors"
    converted = sorted(path for path in WEIGHTS.glob(f"{role}.*") if path.suffix in (".bin", ".xml"))
    return Component(
        type=ComponentType.MACHINE_LEARNING_MODEL,
        name=card["name"],
        bom_ref=role,
        description=card["notes"],
        hashes=[_digest(weights)],
        licenses=[LicenseFactory().make_with_name(card["licence"])],
        components=[
            Component(type=ComponentType.FILE, name=path.name, bom_ref=path.name, hashes=[_digest(path)])
            for path in (weights, *converted)
        ],
    )


def _model_card(role: str, card: Mapping[str, Any]) -> dict[str, Any]:
    """What CycloneDX calls a model card, from ours."""
    figures = dict(card["metrics"]) | {name: judged["metrics"] for name, judged in card["precisions"].items()}
    return {
        "modelParameters": {
            "approach": {"type": "supervised"},
            "task": TASKS[role],
            "architectureFamily": "convolutional neural network",
            "modelArchitecture": f"{card['architecture']} with the encoder {card['encoder']}",
            "datasets": [{"type": "dataset", "name": "training data", "description": card["training_data"]}],
        },
        "quantitativeAnalysis": {
            "performanceMetrics": [
                {"type": name, "value": str(value), "slice": part}
                for part, found in figures.items()
                for name, value in found.items()
                if isinstance(value, int | float)
            ]
        },
        "considerations": {"useCases": [PURPOSE]},
    }


def _data() -> Iterator[Component]:
    """What the models come from, by NOTICE: its entries are indented by two, what goes on in the next line by four."""
    for section in (ROOT / "NOTICE").read_text(encoding="utf-8").split("\n\n"):
        title, *lines = section.splitlines()
        for entry in re.sub(r"\n {4}", " ", "\n".join(lines)).splitlines():
            if not entry.startswith("  "):
                continue
            name, licence = entry.strip().removesuffix(".").split(". ", 1)
            yield Component(
                type=ComponentType.DATA,
                name=name,
                bom_ref=name,
                description=title,
                licenses=[_licence(licence)],
            )


def _licence(stated: str) -> License:
    """By its SPDX identifier where it has one: for ``CC BY 4.0``, CC-BY-4.0."""
    spelt = stated.replace(" ", "-") if re.fullmatch(r"[A-Z][\w -]+ \d\.\d", stated) else stated
    return LicenseFactory().make_from_string(spelt)


def _digest(path: Path) -> HashType:
    return HashType(alg=HashAlgorithm.SHA_256, content=hashlib.sha256(path.read_bytes()).hexdigest())


def _bill(subject: Component, parts: Iterable[Component], cards: Mapping[str, Mapping[str, Any]] | None = None) -> str:
    """The JSON of a bill; ``cards`` has the model cards by reference, which the library does not know."""
    bom = Bom(components=parts)
    bom.metadata.component = subject
    bom.metadata.tools.components.add(this_component())
    bom.register_dependency(subject, bom.components)
    document = json.loads(JsonV1Dot6(bom).output_as_string())
    for component in document["components"]:
        if card := (cards or {}).get(component["bom-ref"]):
            component["modelCard"] = card
    return checked(json.dumps(document, indent=1, ensure_ascii=False) + "\n")


def checked(bill: str) -> str:
    """The bill itself; raises BomError where it breaks the schema of CycloneDX 1.6."""
    if fault := JsonStrictValidator(SchemaVersion.V1_6).validate_str(bill):
        raise BomError(f"not valid: {fault.data.json_path}: {fault.data.message}")
    return bill


def packages_of(environment: Path | None) -> dict[str, Distribution]:
    """The Python packages of a virtual environment by normalised name; None: of the one that runs this."""
    paths = list(map(str, environment.glob("lib/python3*/site-packages"))) if environment else sys.path
    return {re.sub(r"[-_.]+", "-", one.metadata["Name"]).lower(): one for one in distributions(path=paths)}


def main(arguments: Sequence[str] | None = None) -> None:
    """Writes ``image-VARIANT.cdx.json`` for each variant, and ``models.cdx.json``."""
    parser = argparse.ArgumentParser(prog="python docker/bom.py", description=__doc__)
    parser.add_argument("variants", nargs="*", metavar="cpu|cuda", help="images to list; none: both")
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "sbom", help="folder for the bills")
    parser.add_argument("--environment", type=Path, help="virtual environment of the image; else the one running")
    parser.add_argument("--debian", type=Path, help="root file system with Debian's list of packages")
    options = parser.parse_args(arguments)
    installed = packages_of(options.environment)
    bills = {
        f"image-{variant}": image_bill(variant, installed, options.debian) for variant in options.variants or VARIANTS
    }
    options.out.mkdir(parents=True, exist_ok=True)
    for name, bill in (bills | {"models": models_bill()}).items():
        (options.out / f"{name}.cdx.json").write_text(bill, encoding="utf-8")


if __name__ == "__main__":
    main()
