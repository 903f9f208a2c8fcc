"""The acceptance report as one HTML file that needs no other file."""

from collections.abc import Sequence
from math import isfinite

from markupsafe import Markup

from models.anatomy.severity import ZONES
from models.evaluation import plots
from models.evaluation.acceptance import NO_SCORES, Acceptance, Overlap, score_counts
from models.evaluation.agreement import Agreement
from models.evaluation.document import definitions, document, gallery, paragraph, picture, plot, section, table, verdict
from models.evaluation.pictures import draw
from models.evaluation.ranges import Ranges
from models.evaluation.results import Result
from models.evaluation.subjects import Subject
from models.evaluation.zones import AFFECTED_FROM, Bin, BrixiaAgreement

TITLE = "Acceptance of the severity score"
_AGREEMENT = ("n", "MAE", "RMSE", "R²", "κ, quadratic", "bias", "limits of agreement")


def render(found: Acceptance, subject: Subject, worst: int) -> str:
    """The report as HTML; the ``worst`` cases are analysed again for their pictures."""
    return document(
        TITLE,
        [
            _subject(found, subject),
            _bars(found),
            _severity(found),
            _masks(found),
            _zones(found.brixia),
            _calibration(found),
            _subgroups(found),
            _flags(found),
            _worst(found, subject, worst),
            _cases(found),
        ],
    )


def _subject(found: Acceptance, subject: Subject) -> Markup:
    counts = [
        ("Split", found.split),
        ("Radiographs", str(len(found.results))),
        ("Scored", f"{found.scored:.1%}"),
    ]
    return section(
        "What was judged",
        definitions([*subject.description.items(), *counts]),
        paragraph(
            "Brackets are 95 % bootstrap intervals. This file shows radiographs and names cases: protect it as you "
            "protect those."
        ),
    )


def _bars(found: Acceptance) -> Markup:
    rows = [
        (
            line.name,
            str(line.count),
            f"{line.value:.3f}" if line.count else "–",
            line.bar,
            line.verdict,
        )
        for line in found.bars
        if line.limit is not None
    ]
    return section(
        "Bars of the embedded default",
        verdict(found.verdict, found.passes),
        table(("figure", "n", "found", "bar", ""), rows),
        paragraph(
            "A bar without radiographs is not applicable. A figure that misses its bar must reach what the embedded "
            "default reaches."
        ),
    )


def _severity(found: Acceptance) -> Markup:
    if not found.severity:
        return section("Severity", paragraph(NO_SCORES))
    rows = [(name, *_cells(one)) for name, one in found.severity.items()]
    rows += [(f"{name}, on the COVID-19 ones", *_cells(one)) for name, one in found.systems.items()]
    if found.readers.count:
        rows.append(("reader 2 against reader 1, COVID-19", *_cells(found.readers)))
    pairs = [(one.score, one.case.score) for one in found.results]
    both = [(score, said) for score, said in pairs if score is not None and said is not None]
    scores, consensus = zip(*both, strict=True) if both else ((), ())
    overall = found.severity.get("all scored by readers")
    drawings = [plot(plots.score_counts(score_counts(found.results)), "Radiographs by score and consensus.")]
    if overall is not None:
        caption = "Difference and mean of score and consensus, with bias and limits of agreement (Bland and Altman)."
        drawings.append(plot(plots.differences(scores, consensus, overall), caption))
    return section(
        "Severity, score against the readers' consensus",
        paragraph("Where the consensus is a half point, a whole-number score is off by at least 0.5."),
        table(("group", *_AGREEMENT), rows),
        *_ranges(found.ranges),
        *drawings,
    )


def _ranges(found: Ranges) -> list[Markup]:
    if not found.count:
        return []
    text = (
        f"On {found.count} COVID-19 radiographs the range of scores holds the consensus, rounded either way, in "
        f"{found.held:.0%}; it is {found.width:.1f} wide on average. Where it is at most one wide, the score is off by "
        f"{_number(found.narrow_error)}; where it is wider, by {_number(found.wide_error)}."
    )
    return [paragraph(text)]


def _masks(found: Acceptance) -> Markup:
    rows = [
        (name, str(one.count), one.mean.text(3), f"{one.low:.3f}")
        for name, one in (("lungs", found.lungs), ("disease", found.disease))
        if isinstance(one, Overlap)
    ]
    if not rows:
        return section(
            "Masks", paragraph("No drawn masks: the table's columns lungs and disease are missing or empty.")
        )
    return section("Masks, Dice against drawn ones", table(("mask", "n", "mean", "5th percentile"), rows))


def _zones(found: BrixiaAgreement | None) -> Markup:
    title = "Zone by zone, shares against two radiologists' Brixia scores"
    if found is None:
        return section(
            title, paragraph("Fewer than three radiographs have Brixia scores (columns brixia_s_… and brixia_j_…).")
        )
    oriented = "Left and right, top and bottom are as they should be: both controls are worse beyond chance."
    doubtful = "A control is not worse beyond chance, so left and right or top and bottom may be exchanged."
    correlations = [
        ("as it is", found.right.text()),
        ("control: sides exchanged", found.wrong_sides.text()),
        ("control: upside down", found.upside_down.text()),
        ("lost by exchanging sides", found.lost_by_sides.text()),
        ("lost by turning upside down", found.lost_upside_down.text()),
        ("the two radiologists with each other", _number(found.readers)),
        ("published networks' shares in the pack", _number(found.others)),
    ]
    affected = [
        ("zones affected, by the radiologists", f"{found.affected:.1%}"),
        ("sensitivity", _number(found.sensitivity)),
        ("specificity", _number(found.specificity)),
        ("Cohen's κ", _number(found.kappa)),
        ("Cohen's κ of the two radiologists", _number(found.readers_kappa)),
        ("area under the curve, any threshold", _number(found.area)),
    ]
    lines = [(zone.replace("_", " "), found.by_zone[zone]) for zone in ZONES]
    return section(
        title,
        paragraph(
            f"{found.radiographs} radiographs. Their zones are anatomical levels, not thirds of equal area. "
            f"Affected: a mean Brixia score of {AFFECTED_FROM:g} or more; resampled by radiograph."
        ),
        verdict(oriented if found.is_oriented else doubtful, found.is_oriented),
        table(("rank correlation (Spearman)", "value"), correlations),
        table(("affected or not, share over the threshold", "value"), affected),
        plot(plots.bars([line for line in lines if isfinite(line[1])], "rank correlation"), "Each zone by itself."),
    )


def _calibration(found: Acceptance) -> Markup:
    parts = []
    if found.by_masks:
        words = f"Drawn share of the zone; MAE of a share {found.shares.mae.text(3)}, bias {found.shares.bias.text(3)}."
        parts.append(_curve(found.by_masks, "drawn share", words))
    if found.by_brixia:
        words = f"Zones that the radiologists call affected (Brixia {AFFECTED_FROM:g} or more)."
        parts.append(_curve(found.by_brixia, "affected, by the radiologists", words))
    if not parts:
        parts.append(paragraph("The pack has neither disease masks nor Brixia scores."))
    return section("Calibration of the shares", *parts)


def _curve(bins: Sequence[Bin], label: str, caption: str) -> Markup:
    found, said, counts = zip(*((one.found, one.said, one.count) for one in bins), strict=True)
    return plot(plots.calibration(found, said, counts, label), caption)


def _subgroups(found: Acceptance) -> Markup:
    header = ("", "n", "scored", "mean score", "over 0", "severity MAE", "lung Dice", "disease Dice")
    parts = [
        table(
            (kind, *header[1:]),
            [
                (
                    one.name,
                    str(one.count),
                    f"{one.scored:.1%}",
                    _number(one.mean_score),
                    _percent(one.over),
                    one.mae.text(),
                    _number(one.lungs),
                    _number(one.disease),
                )
                for one in groups
            ],
        )
        for kind, groups in found.subgroups.items()
    ]
    return section("Subgroups", *parts)


def _flags(found: Acceptance) -> Markup:
    rows = [(name, str(count)) for name, count in sorted(found.flags.items(), key=lambda item: -item[1])]
    return section("Quality flags", table(("flag", "radiographs"), rows) if rows else paragraph("No flag was raised."))


def _cases(found: Acceptance) -> Markup:
    rows = [
        (
            one.case.id,
            "none" if one.score is None else str(one.score),
            "–" if one.case.score is None else f"{one.case.score:g}",
            *(_number(share) for share in one.shares),
            ", ".join(one.flags),
        )
        for one in found.results
    ]
    zones = (zone.replace("_", " ") for zone in ZONES)
    return section("Every case", table(("radiograph", "score", "consensus", *zones, "flags"), rows))


def _worst(found: Acceptance, subject: Subject, count: int) -> Markup:
    cases = [_case(result, why, subject) for result, why in found.worst(count)]
    return section(
        "Worst cases",
        paragraph("Cyan: lungs that were found. Red: disease that was found. Yellow: what people drew."),
        gallery(cases),
    )


def _case(result: Result, why: str, subject: Subject) -> Markup:
    case = result.case
    shares = ", ".join(
        f"{zone.replace('_', ' ')} {_number(share)}" for zone, share in zip(ZONES, result.shares, strict=True)
    )
    said = "none" if case.score is None else f"{case.score:g}"
    readers = f" (readers {' and '.join(f'{one:g}' for one in case.readers)})" if case.readers else ""
    flags = f" Flags: {', '.join(result.flags)}." if result.flags else ""
    score = "none" if result.score is None else str(result.score)
    caption = f"{case.id}: {why}. Score {score}, consensus {said}{readers}. Shares: {shares}.{flags}"
    return picture(draw(case, subject.analyse(case)), caption)


def _cells(one: Agreement) -> tuple[str, ...]:
    limits = f"{one.lower.value:.2f} to {one.upper.value:.2f}" if isfinite(one.lower.value) else "–"
    estimates = (one.mae.text(3), one.rmse.text(), one.r2.text(), one.kappa.text(), one.bias.text())
    return (str(one.count), *estimates, limits)


def _number(value: float) -> str:
    return f"{value:.2f}" if isfinite(value) else "–"


def _percent(value: float) -> str:
    return f"{value:.1%}" if isfinite(value) else "–"
