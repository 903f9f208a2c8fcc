"""The embedded weights, without any radiograph at hand: their cards' figures, and the phantom's drawn disease."""

from dataclasses import replace

import pytest

from models import Workflow, default_weights
from models.anatomy.severity import ZONES
from models.evaluation.bars import Figure, cross_validated, figures
from models.phantom import draw_phantom
from models.weights.cards import read_card

LINES = {line.name: line for line in figures([]) if line.limit is not None}


def recorded() -> list[Figure]:
    """What the cards say of the packs' ``val``, which no fit has seen."""
    known = {}
    for role in ("lungs", "disease"):
        known |= read_card(default_weights(role)).metrics["val"]
    return [replace(line, value=known[name], count=1) for name, line in LINES.items()]


@pytest.mark.parametrize("name", LINES)
def test_the_cards_figures_are_what_the_bars_ask_for(name: str) -> None:
    (line,) = (line for line in recorded() if line.name == name)
    assert line.holds, f"{line.name}: {line.value} against {line.bar}"


def test_the_cross_validated_figures_too() -> None:
    lines = cross_validated(read_card(default_weights("disease")).metrics)
    assert lines and all(line.holds for line in lines)


def test_no_disease_is_found_where_none_was_drawn(embedded: Workflow) -> None:
    assert embedded.analyse(draw_phantom(512)).score == 0


@pytest.mark.parametrize("zone", ZONES)
def test_disease_is_found_in_the_zone_where_it_was_drawn(embedded: Workflow, zone: str) -> None:
    """A drawing is no radiograph: how much of it counts is not asked, but where it lies."""
    shares = embedded.analyse(draw_phantom(512, (zone,))).by_zone
    assert max(shares, key=shares.__getitem__) == zone
    assert all(share < 0.15 for name, share in shares.items() if name != zone)


@pytest.mark.parametrize("zone", ["right_lower", "right_middle", "left_upper"])
def test_a_zone_counts_where_its_share_is_over_the_threshold(embedded: Workflow, zone: str) -> None:
    analysis = embedded.analyse(draw_phantom(512, (zone,)))
    assert {name for name, share in analysis.by_zone.items() if analysis.affects(share)} == {zone}
    assert analysis.score == 1
