"""What a radiologist reads: three lines that say no more than the figures do."""

from math import nan

from app.reports.words import narrate, summarise
from models.anatomy.uncertainty import Spread
from tests.support.reports import analysis, refused

NOTICE = "Research use only. Not a medical device."


def test_score_zones_and_doubts() -> None:
    assert narrate(analysis()) == (
        "Lung severity score 2 of 6.",
        "Affected zones (over 31 %): right lower 50 %, left middle 90 %.",
        f"Doubts: borderline. {NOTICE}",
    )


def test_a_healthy_chest_without_doubts() -> None:
    healthy = analysis(score=0, shares=(0.0,) * 6, flags=())
    assert narrate(healthy) == (
        "Lung severity score 0 of 6.",
        "No zone is affected (over 31 %).",
        f"No doubts. {NOTICE}",
    )


def test_without_a_score_none_is_told_and_no_zone() -> None:
    assert narrate(refused("single_lung", "low_contrast")) == (
        "No score is given. Single lung.",
        "The zones were not assessed.",
        f"Doubts: low contrast. {NOTICE}",
    )


def test_the_range_stands_beside_the_score() -> None:
    spread = Spread(shares=((0.0, 1.0),) * 6, scores=(1, 4), coverage=0.89)
    assert narrate(analysis(spread=spread))[0] == "Lung severity score 2 of 6 (range 1 to 4)."


def test_a_zone_whose_lung_was_not_found_is_not_named() -> None:
    assert "left" not in narrate(analysis(score=1, shares=(0.5, 0.0, 0.0, nan, nan, nan)))[1]


def test_mirrored_warns_of_the_sides() -> None:
    assert summarise(analysis(flags=("mirrored",))).endswith("right and left may be exchanged")
