"""The published outputs of Danilov et al. (doi 10.1038/s41598-022-15013-z): one table per stage II network.

A table's name is the checkpoint's directory: architecture, encoder, encoder weights, date.
"""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import nan
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.weights.architectures import UnknownNetworkError, canonical_architecture, display_name
from models.weights.published import THRESHOLDS, parse_directory

SUBSETS = ("train", "val", "test")
OTHERS = {"bsnet": "BS-Net", "covidnet": "COVID-Net-S"}
"""Other published systems whose scores the tables have, by column."""
_COLUMNS = ("dataset", "filename", "subset", "label", "score_r", "score_d", "consensus", "score")
_ZONES = tuple(f"lung_segment_{zone}" for zone in range(1, 7))


class OutputsError(ValueError):
    """The folder does not hold published outputs that belong together."""


@dataclass(frozen=True, eq=False)
class Network:
    """The answers of one stage II network for every radiograph.

    Attributes:
        scores: [N].
        shares: [N, 6], reference order.
        threshold: the published one.
    """

    architecture: str
    encoder: str
    scores: NDArray[np.float64]
    shares: NDArray[np.float64]
    threshold: float

    @property
    def name(self) -> str:
        """The paper's spelling, such as ``MA-Net``."""
        return display_name(self.architecture)


@dataclass(frozen=True, eq=False)
class Outputs:
    """All tables; a row is the same radiograph in each.

    Attributes:
        dataset, subset, label: [N] of str.
        readers: the two readers' scores, [N, 2]; NaN where one did not read.
        consensus: [N].
        others: scores [N] of other systems by their name.
        networks: the published stage II networks.
    """

    dataset: NDArray[np.str_]
    subset: NDArray[np.str_]
    label: NDArray[np.str_]
    readers: NDArray[np.float64]
    consensus: NDArray[np.float64]
    others: Mapping[str, NDArray[np.float64]]
    networks: tuple[Network, ...]

    @property
    def is_normal(self) -> NDArray[np.bool_]:
        """Which radiographs are normal, [N]."""
        return np.asarray(self.label == "Normal")

    @property
    def scores(self) -> dict[str, NDArray[np.float64]]:
        """Scores [N] by system: the networks, then the others."""
        return {**{network.name: network.scores for network in self.networks}, **self.others}

    def within(self, subsets: Sequence[str]) -> NDArray[np.bool_]:
        """[N]: whether a radiograph is in one of the subsets."""
        return np.isin(self.subset, list(subsets))


def read_outputs(folder: Path) -> Outputs:
    """Reads every table of a folder.

    Raises:
        OutputsError: no table, one that does not parse, or tables of different radiographs.
    """
    files = sorted(folder.glob("*.csv"))
    if not files:
        raise OutputsError(f"{folder}: expected published outputs (one CSV per network), found none")
    tables = {file: _read_rows(file) for file in files}
    first, rows = next(iter(tables.items()))
    radiographs = [(row["dataset"], row["filename"]) for row in rows]
    for file, others in tables.items():
        if [(row["dataset"], row["filename"]) for row in others] != radiographs:
            raise OutputsError(f"{file}: expected the radiographs of {first.name} in the same order, found others")
    return Outputs(
        dataset=np.array([row["dataset"] for row in rows]),
        subset=np.array([row["subset"] for row in rows]),
        label=np.array([row["label"] for row in rows]),
        readers=np.stack([_column(first, rows, name) for name in ("score_r", "score_d")], axis=1),
        consensus=_column(first, rows, "consensus"),
        others={name: _column(first, rows, column) for column, name in OTHERS.items()},
        networks=tuple(_network(file, rows) for file, rows in tables.items()),
    )


def _read_rows(file: Path) -> list[dict[str, str]]:
    with file.open(newline="", encoding="utf-8") as text:
        reader = csv.DictReader(text)
        missing = {*_COLUMNS, *OTHERS, *_ZONES} - set(reader.fieldnames or ())
        if missing:
            raise OutputsError(f"{file}: expected the columns {', '.join(sorted(missing))}, found them missing")
        rows = list(reader)
    if not rows:
        raise OutputsError(f"{file}: expected radiographs, found none")
    return rows


def _network(file: Path, rows: Sequence[Mapping[str, str]]) -> Network:
    named = parse_directory(file.stem)
    try:
        architecture = canonical_architecture(named.architecture if named else file.stem)
    except UnknownNetworkError as error:
        raise OutputsError(f"{file}: expected the name of a published checkpoint, found {file.stem!r}") from error
    return Network(
        architecture=architecture,
        encoder=named.encoder if named else "",
        scores=_column(file, rows, "score"),
        shares=np.stack([_column(file, rows, name) for name in _ZONES], axis=1),
        threshold=THRESHOLDS[architecture],
    )


def _column(file: Path, rows: Sequence[Mapping[str, str]], name: str) -> NDArray[np.float64]:
    try:
        return np.array([float(row[name]) if row[name] else nan for row in rows])
    except ValueError as error:
        raise OutputsError(f"{file}: expected numbers in {name}: {error}") from error
