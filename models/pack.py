"""A radiograph pack on disk: pictures, masks, readers' scores and published zone shares."""

import csv
import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from math import nan
from pathlib import Path
from typing import TypeAlias

import cv2
import numpy as np

from models.anatomy.severity import ZONES
from models.pixels import Mask, Pixels

SUFFIXES = (".jpg", ".jpeg", ".png", ".tif", ".tiff", ".bmp")


Rectangle: TypeAlias = tuple[int, int, int, int]
"""Left, top, width and height, pixels."""

WITHOUT_OPACITY = ("Other", "No finding")
"""Labels of radiographs that may show something, but no opacity: most of the lungs is free of disease."""


HELD_OUT = "held-out"
"""The radiographs that the embedded default was not trained on; without splits, the whole table."""

_NAMES = {
    "id": "the name of each picture under images/, without its ending",
    "file": "the path of each picture, from this folder",
}
"""A table has at least one of these columns; what they mean."""


class PackError(ValueError):
    """The folder is not a radiograph pack, or a file of it cannot be read."""


@dataclass(frozen=True)
class Case:
    """One radiograph of a pack and what people recorded about it.

    Attributes:
        shares: six target shares (median of the published networks) in the reference's order, or None.
        score: consensus severity 0..6 of the readers, or None where nobody scored it.
        readers: the two readers' own scores where both read it, else empty.
        brixia: (senior, junior) zone scores 0..3 by patient side in ``ZONES`` order, or empty.
        published: severity scores that published systems gave, by system.
        source, view: the collection it is from and how it was taken, as recorded; may be empty.
        boxes: drawn round each opacity, in the radiograph's own pixels; empty where nobody drew any.
        path: the file, relative to the folder or its ``images/``, in a table without ids; if empty, the id names it.
    """

    root: Path
    id: str
    split: str
    label: str
    patient: str
    age_group: str
    has_lungs: bool
    has_disease: bool
    duplicate: bool
    score: float | None
    readers: tuple[float, ...]
    shares: tuple[float, ...] | None
    brixia: tuple[tuple[float, ...], ...]
    published: tuple[tuple[str, float], ...]
    source: str = ""
    view: str = ""
    boxes: tuple[Rectangle, ...] = ()
    path: str = ""

    @property
    def file(self) -> Path:
        """The radiograph's file: ``path`` from the folder or its ``images/``, else ``images/<id>`` with a suffix.

        Raises:
            PackError: there is none.
        """
        if self.path:
            for file in (self.root / self.path, self.root / "images" / self.path):
                if file.is_file():
                    return file
            raise PackError(f"{self.root / self.path}: expected a picture, found none")
        for suffix in SUFFIXES:
            file = self.root / "images" / f"{self.id}{suffix}"
            if file.is_file():
                return file
        raise PackError(f"{self.root / 'images' / self.id}: expected a picture ({', '.join(SUFFIXES)}), found none")

    @cached_property
    def pixels(self) -> Pixels:
        """The radiograph, uint8 [H, W]."""
        return read_gray(self.file)

    @cached_property
    def lungs(self) -> Mask:
        """The drawn lung mask, bool [H, W]."""
        return np.asarray(read_gray(self.root / "lungs" / f"{self.id}.png") > 127)

    @cached_property
    def disease(self) -> Mask:
        """The drawn disease mask (ground-glass opacity or consolidation), bool [H, W]."""
        return np.asarray(read_gray(self.root / "disease" / f"{self.id}.png") > 50)

    @property
    def is_normal(self) -> bool:
        return self.label == "Normal"

    @property
    def is_adult_normal(self) -> bool:
        return self.is_normal and self.age_group == "adult"

    @property
    def is_scored_covid(self) -> bool:
        return self.label == "COVID-19" and self.score is not None

    @property
    def is_without_opacity(self) -> bool:
        """Whether it is abnormal or not known to be normal, but has no opacity."""
        return self.label in WITHOUT_OPACITY

    @property
    def is_pneumonia(self) -> bool:
        """Whether radiologists saw opacities that suggest pneumonia and drew boxes round them."""
        return self.label == "Pneumonia"


class Pack:
    """The cases of one folder or several, in the tables' order, without those that repeat an earlier picture."""

    def __init__(self, *roots: Path) -> None:
        """Reads each ``table.csv``; pictures are read when first asked for.

        Raises:
            PackError: no table, a row that does not parse, or a radiograph listed twice.
        """
        self.cases = tuple(case for root in roots for case in _read_table(root) if not case.duplicate)
        homes: dict[str, Path] = {}
        for case in self.cases:
            home = homes.get(case.id)
            if home == case.root:
                raise PackError(f"{home}: expected each radiograph once, found {case.id!r} twice")
            if home is not None:
                raise PackError(f"{case.root}: expected other ids than {home} has, found {case.id!r} in both")
            homes[case.id] = case.root

    def __iter__(self) -> Iterator[Case]:
        return iter(self.cases)

    def split(self, name: str) -> list[Case]:
        """Cases of one split of the table, of all splits (``all``), or of all but ``train`` (``held-out``)."""
        if name == HELD_OUT:
            return [case for case in self.cases if case.split != "train"]
        return [case for case in self.cases if name == "all" or case.split == name]


def patient_folds(cases: Iterable[Case], count: int, seed: int = 0) -> list[list[Case]]:
    """Divides the cases into folds by patient, with the kinds (label, age group, masks, scores) spread evenly.

    A case without a recorded patient counts as a patient of its own; two folders have no patient in common.
    """
    groups: dict[str, list[Case]] = {}
    for case in cases:
        groups.setdefault(f"{case.root.name}/{case.patient}" if case.patient else case.id, []).append(case)
    order = np.random.default_rng(seed).permutation(sorted(groups))
    folds: list[list[Case]] = [[] for _ in range(count)]
    loads: dict[str, list[int]] = {}
    for patient in order:
        group = groups[str(patient)]
        kind = _kind(group[0])
        load = loads.setdefault(kind, [0] * count)
        target = min(range(count), key=lambda fold: (load[fold], len(folds[fold])))
        folds[target].extend(group)
        load[target] += len(group)
    return folds


def _kind(case: Case) -> str:
    severity = "-" if case.score is None else str(int(case.score) // 2)
    return f"{case.label}/{case.age_group}/{case.has_disease}/{severity}"


def picture_files(folder: Path) -> list[Path]:
    """All pictures of a folder and its subfolders, sorted by path.

    Raises:
        PackError: there is none.
    """
    files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)
    if not files:
        raise PackError(f"{folder}: expected pictures ({', '.join(SUFFIXES)}), found none")
    return files


def read_gray(path: Path) -> Pixels:
    """Reads a picture as uint8 [H, W].

    Raises:
        PackError: there is no picture that can be read.
    """
    picture = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
    if picture is None:
        raise PackError(f"{path}: expected a picture, found none that can be read")
    return np.asarray(picture, dtype=np.uint8)


def _read_table(root: Path) -> Iterator[Case]:
    table = root / "table.csv"
    if not table.is_file():
        raise PackError(f"{table}: expected a radiograph pack's table, found none")
    try:
        # A spreadsheet may put a byte order mark before the first column.
        text = table.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise PackError(f"{table}: expected UTF-8: {error}") from error
    rows = csv.DictReader(io.StringIO(text))
    columns = rows.fieldnames or ()
    if not set(_NAMES) & set(columns):
        wanted = " or ".join(f"{name} ({meaning})" for name, meaning in _NAMES.items())
        raise PackError(f"{table}: expected a column {wanted}, found {', '.join(columns) or 'none'}")
    for line, row in enumerate(rows, start=2):
        try:
            yield _read_row(root, row)
        except ValueError as error:
            raise PackError(f"{table}, line {line}: {error}") from error


def _read_row(root: Path, row: dict[str, str]) -> Case:
    name = row.get("id") or row.get("file")
    if not name:
        raise ValueError(f"expected {' or '.join(_NAMES)}, found neither")
    return Case(
        root=root,
        id=name,
        split=row.get("split") or "",
        label=row.get("label") or "",
        patient=row.get("patient") or "",
        age_group=row.get("age_group") or "",
        has_lungs=bool(row.get("lungs")),
        has_disease=row.get("disease") == "1",
        duplicate=bool(row.get("dup")),
        score=_score(row["score"]) if row.get("score") else None,
        readers=_numbers(row, ("score_r", "score_d")),
        shares=_numbers(row, tuple(f"median_ratio_{zone}" for zone in range(1, 7))) or None,
        brixia=tuple(
            scores for reader in "sj" if (scores := _numbers(row, tuple(f"brixia_{reader}_{zone}" for zone in ZONES)))
        ),
        published=tuple(
            (system, float(row[f"{system}_published_score"]))
            for system in ("manet", "bsnet", "covidnet")
            if row.get(f"{system}_published_score")
        ),
        source=row.get("source") or "",
        view=row.get("view") or "",
        boxes=tuple(_rectangle(text) for text in (row.get("boxes") or "").split(";") if text),
        # Next to an id, this column only tells what the file was called elsewhere.
        path="" if row.get("id") else row.get("file") or "",
    )


def _score(text: str) -> float:
    try:
        score = float(text)
    except ValueError:
        score = nan
    if not 0 <= score <= len(ZONES):
        raise ValueError(f"expected a score of 0 to {len(ZONES)}, found {text!r}")
    return score


def _rectangle(text: str) -> Rectangle:
    left, top, width, height = (int(number) for number in text.split(","))
    return left, top, width, height


def _numbers(row: dict[str, str], columns: tuple[str, ...]) -> tuple[float, ...]:
    """The columns' numbers; no numbers at all if one column is empty or missing."""
    values = [row.get(column, "") for column in columns]
    return tuple(float(value) for value in values) if all(values) else ()
