"""A small radiograph pack made by code, in the layout of a real one."""

import csv
from pathlib import Path

import cv2
import numpy as np

from models.anatomy.severity import ZONES
from models.phantom import draw_phantom, phantom_lungs

SIDE = 160


def write_pack(root: Path, count: int = 12) -> Path:
    """``count`` phantoms: a third with disease masks, a third with shares only, a third normal (some adult)."""
    for folder in ("images", "lungs", "disease"):
        (root / folder).mkdir(parents=True)
    rows = [_write_case(root, index, count) for index in range(count)]
    with (root / "table.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return root


def _write_case(root: Path, index: int, count: int) -> dict[str, str]:
    name, kind = f"p{index:03d}", ("masked", "shares", "normal")[index % 3]
    picture, lungs = draw_phantom(SIDE), phantom_lungs(SIDE)
    disease = np.zeros((SIDE, SIDE), np.uint8)
    if kind != "normal":
        disease[SIDE // 2 :, :] = 100
        disease[~lungs] = 0
        picture = np.where(disease > 0, np.maximum(picture, 170), picture).astype(np.uint8)
    cv2.imwrite(str(root / "images" / f"{name}.jpg"), picture)
    cv2.imwrite(str(root / "lungs" / f"{name}.png"), lungs.astype(np.uint8) * 255)
    if kind == "masked":
        cv2.imwrite(str(root / "disease" / f"{name}.png"), disease)
    score = "0.0" if kind == "normal" else "4.0"
    return {
        "id": name,
        "split": "val" if index >= count - 3 else "train",
        "label": "Normal" if kind == "normal" else "COVID-19",
        "patient": str(index // 2),
        "age_group": ("adult" if index % 2 else "child") if kind == "normal" else "",
        "lungs": "drawn",
        "disease": "1" if kind == "masked" else "0",
        "dup": "",
        "score": score,
        "score_r": score,
        "score_d": score if kind == "normal" else "3.0",
        **{f"median_ratio_{zone}": "0.0" if kind == "normal" else "0.8" for zone in range(1, 7)},
        **{f"{system}_published_score": "3" for system in ("manet", "bsnet", "covidnet")},
        **{f"brixia_{reader}_{zone}": "" for reader in "sj" for zone in ZONES},
    }
