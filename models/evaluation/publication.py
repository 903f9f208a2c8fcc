"""The paper's comparison and the details behind its headline: a Markdown report over the published outputs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.evaluation.agreement import Agreement, agreement
from models.evaluation.configurations import FIGURE_2, OTHER_ERRORS
from models.evaluation.outputs import Network, Outputs
from models.evaluation.sweep import Sweep, count_zones, sweep
from models.evaluation.tables import markdown

READERS = "reader 2 against reader 1"


@dataclass(frozen=True)
class Publication:
    """The published outputs and what is reported of them.

    Attributes:
        outputs: all of them.
        subsets: those that the tables cover.
        chosen_on: those that the thresholds are chosen on.
        resamples, seed: of the bootstrap.
    """

    outputs: Outputs
    subsets: tuple[str, ...] = ("test",)
    chosen_on: tuple[str, ...] = ("train", "val")
    resamples: int = 2000
    seed: int = 0

    @property
    def judged(self) -> NDArray[np.bool_]:
        """Which radiographs the tables cover, [N]."""
        return self.outputs.within(self.subsets)

    @property
    def twice_read(self) -> NDArray[np.bool_]:
        """COVID-19 radiographs that both readers scored; normals are 0 by their label."""
        return self.judged & ~self.outputs.is_normal & np.isfinite(self.outputs.readers).all(axis=1)

    def agreements(self, rows: NDArray[np.bool_]) -> dict[str, Agreement]:
        """Every system's agreement with the consensus over some rows [N], in the order of ``ranked``."""
        found = {name: self.agree(scores, self.outputs.consensus, rows) for name, scores in self.ranked().items()}
        return {name: one for name, one in found.items() if one.count}

    def between_readers(self) -> Agreement:
        """Agreement of the second reader with the first."""
        return self.agree(self.outputs.readers[:, 1], self.outputs.readers[:, 0], self.twice_read)

    def sweeps(self) -> dict[str, Sweep]:
        """Errors by threshold for each network, over the subsets that thresholds are chosen on."""
        rows = self.outputs.within(self.chosen_on)
        return {
            network.name: sweep(network.shares[rows], self.outputs.consensus[rows]) for network in self.outputs.networks
        }

    def recounted(self) -> dict[str, int]:
        """By network, how many scores are not the count of shares over the published threshold."""
        return {
            network.name: int(np.count_nonzero(count_zones(network.shares, network.threshold) != network.scores))
            for network in self.outputs.networks
        }

    def differing(self) -> list[str]:
        """Systems whose MAE on the test subset is not the paper's, to the third digit."""
        rows = self.outputs.within(("test",))
        wanted = {network.name: FIGURE_2[network.architecture].mae for network in self.outputs.networks}
        errors = {
            name: float(np.abs(scores[rows] - self.outputs.consensus[rows]).mean())
            for name, scores in self.outputs.scores.items()
        }
        return [name for name, error in errors.items() if round(error, 3) != {**wanted, **OTHER_ERRORS}[name]]

    def error(self, network: Network, threshold: float, rows: NDArray[np.bool_]) -> float:
        """MAE of a network over some rows at another threshold."""
        counted = count_zones(network.shares[rows], threshold)
        return float(np.abs(counted - self.outputs.consensus[rows]).mean()) if rows.any() else float("nan")

    def agree(self, scores: NDArray[np.float64], reference: NDArray[np.float64], rows: NDArray[np.bool_]) -> Agreement:
        """Agreement of scores with a reference over some rows, all [N]."""
        return agreement(scores[rows], reference[rows], self.resamples, self.seed)

    def ranked(self) -> dict[str, NDArray[np.float64]]:
        """Scores [N] by system, the smallest error over all judged radiographs first."""
        rows, wanted = self.judged, self.outputs.consensus
        systems = self.outputs.scores.items()
        return dict(sorted(systems, key=lambda item: float(np.abs(item[1][rows] - wanted[rows]).mean())))


def report(publication: Publication) -> str:
    """The report in Markdown."""
    outputs, judged = publication.outputs, publication.judged
    normal, ill = judged & outputs.is_normal, judged & ~outputs.is_normal
    name = ", ".join(publication.subsets)
    interval = f"95 % intervals: bootstrap, {publication.resamples} resamples, seed {publication.seed}"
    return "\n".join(
        [
            f"Subset {name}: {judged.sum()} radiographs, {ill.sum()} COVID-19, {normal.sum()} normal. {interval}.",
            f"\n### All {judged.sum()}\n",
            agreement_table(publication.agreements(judged)),
            f"\n### COVID-19 alone, {ill.sum()}\n",
            agreement_table({**publication.agreements(ill), READERS: publication.between_readers()}),
            f"\n### Normals alone, {normal.sum()}\n",
            _normals(publication, normal),
            "\n### Each dataset, MAE\n",
            _by_dataset(publication),
            f"\n### Beside the readers, MAE on the {publication.twice_read.sum()} COVID-19 radiographs both read\n",
            _beside_readers(publication),
            f"\n### Thresholds, chosen on {', '.join(publication.chosen_on)}\n",
            _thresholds(publication, ill),
            "",
        ]
    )


def agreement_table(rows: Mapping[str, Agreement]) -> str:
    """A table with one line per system."""
    header = ("system", "n", "MAE", "RMSE", "R²", "κ, quadratic", "bias", "limits of agreement")
    lines = []
    for name, one in rows.items():
        estimates = (one.mae.text(3), one.rmse.text(), one.r2.text(), one.kappa.text(), one.bias.text())
        limits = f"{one.lower.value:.2f} to {one.upper.value:.2f}"
        lines.append((name, str(one.count), *estimates, limits))
    return markdown(header, lines)


def _normals(publication: Publication, rows: NDArray[np.bool_]) -> str:
    scores, wanted = publication.outputs.scores, publication.outputs.consensus[rows]
    lines = [
        (name, str(one.count), one.mae.text(3), f"{np.mean(scores[name][rows] != wanted):.1%}")
        for name, one in publication.agreements(rows).items()
    ]
    return markdown(("system", "n", "MAE", "scored over 0"), lines)


def _by_dataset(publication: Publication) -> str:
    outputs, judged = publication.outputs, publication.judged
    names = sorted(set(outputs.dataset[judged].tolist()))
    tables = {name: publication.agreements(judged & (outputs.dataset == name)) for name in names}
    header = ["system", *(f"{name}, n = {next(iter(table.values())).count}" for name, table in tables.items())]
    systems = publication.agreements(judged)
    return markdown(header, [(name, *(table[name].mae.text() for table in tables.values())) for name in systems])


def _beside_readers(publication: Publication) -> str:
    outputs, rows = publication.outputs, publication.twice_read
    both = (outputs.consensus, outputs.readers[:, 0], outputs.readers[:, 1])
    lines = [
        (name, *(publication.agree(scores, wanted, rows).mae.text() for wanted in both))
        for name, scores in publication.ranked().items()
    ]
    between = publication.between_readers().mae.text()
    lines.append(("the other reader", "–", between, between))
    return markdown(("system", "against the consensus", "against reader 1", "against reader 2"), lines)


def _thresholds(publication: Publication, ill: NDArray[np.bool_]) -> str:
    judged, recounted = publication.judged, publication.recounted()
    sweeps = publication.sweeps()
    header = (
        *("network", "published", "chosen", "MAE there, chosen on"),
        *("MAE, published threshold", "MAE, chosen threshold", "COVID-19 alone, chosen", "scores not recounted"),
    )
    lines = []
    for network in publication.outputs.networks:
        best = sweeps[network.name].best
        errors = (
            sweeps[network.name].at(best),
            publication.error(network, network.threshold, judged),
            publication.error(network, best, judged),
            publication.error(network, best, ill),
        )
        cells = [f"{error:.3f}" for error in errors]
        lines.append((network.name, f"{network.threshold:.2f}", f"{best:.2f}", *cells, str(recounted[network.name])))
    return markdown(header, _sorted_by(lines, column=4))


def _sorted_by(lines: Sequence[tuple[str, ...]], column: int) -> list[tuple[str, ...]]:
    return sorted(lines, key=lambda line: float(line[column]))
