"""Made-up cases, and tables in the layout of real ones."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

from models.anatomy.severity import ZONES
from models.pack import Case
from tests.models.packs import write_pack

MANET = "MAnet_timm-regnetx_064_imagenet_050921_1102"
LINKNET = "Linknet_efficientnet-b0_imagenet_050921_1419"
CASE = Case(
    root=Path(),
    id="x",
    split="val",
    label="COVID-19",
    patient="",
    age_group="",
    has_lungs=False,
    has_disease=False,
    duplicate=False,
    score=3.5,
    readers=(3.0, 4.0),
    shares=None,
    brixia=((0, 1, 2, 3, 3, 3), (0, 1, 2, 2, 3, 3)),
    published=(("manet", 5.0),),
)


def output_row(number: int, **fields: object) -> dict[str, str]:
    """One radiograph of published outputs: readers, consensus and score agree unless told otherwise."""
    zones = {f"lung_segment_{zone}": 0.0 for zone in range(1, 7)}
    plain = {
        "dataset": "covid-chestxray-dataset",
        "filename": f"{number}.jpg",
        "subset": "test",
        "label": "COVID-19",
        "score_r": 0.0,
        "score_d": 0.0,
        "consensus": 0.0,
        "bsnet": 0,
        "covidnet": 0,
        "score": 0,
        **zones,
    }
    return {name: str(value) for name, value in {**plain, **fields}.items()}


def write_outputs(folder: Path, tables: Mapping[str, Sequence[Mapping[str, str]]]) -> Path:
    """One CSV a network."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, rows in tables.items():
        _write(folder / f"{name}.csv", rows)
    return folder


def write_scored_pack(root: Path) -> Path:
    """The made-up pack with views, sources, and Brixia scores that are high in the lower zones."""
    write_pack(root)
    with (root / "table.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    for index, row in enumerate(rows):
        row["view"], row["source"] = ("PA" if index % 2 else "AP"), f"hospital-{index % 3}"
        for reader in "sj":
            for zone in ZONES:
                row[f"brixia_{reader}_{zone}"] = "3" if zone.endswith("lower") and row["label"] != "Normal" else "0"
    _write(root / "table.csv", rows)
    return root


def _write(path: Path, rows: Sequence[Mapping[str, str]]) -> None:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
