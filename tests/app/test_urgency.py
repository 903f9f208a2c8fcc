import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.urgency import AGEING_SECONDS, DEFAULT, FIRST, LAST, is_urgent, turn_of, urgency_in

URGENCIES = st.integers(FIRST, LAST)
SECONDS = st.floats(0, 1e6)


@pytest.mark.parametrize(
    ("header", "urgency"),
    [
        ("u=0", 0),
        ("u=7", 7),
        ("u=5, i", 5),
        ("i, u=1", 1),
        ("u=6, u=2", 2),
        ("u=1;x=3", 1),
        ('a="u=0, u=1", u=4', 4),
        ("", DEFAULT),
        ("i", DEFAULT),
        ("u=8", DEFAULT),
        ("u=-1", DEFAULT),
        ("u=1.0", DEFAULT),
        ("u", DEFAULT),
        ("u=?1", DEFAULT),
        ('u="1"', DEFAULT),
        ("u=(1 2)", DEFAULT),
        ("u=1,", DEFAULT),
        ("urgent", DEFAULT),
        ("ü=1", DEFAULT),
        ("u=1" + " " * 1000, DEFAULT),
    ],
)
def test_the_header_is_read_as_rfc_9218_says(header: str, urgency: int) -> None:
    assert urgency_in(header) == urgency


@given(st.text(max_size=300))
def test_whatever_a_header_holds_is_an_urgency(header: str) -> None:
    assert FIRST <= urgency_in(header) <= LAST


def test_only_what_asks_for_more_than_the_default_is_urgent() -> None:
    assert [is_urgent(urgency) for urgency in (2, DEFAULT, 4)] == [True, False, False]


@given(URGENCIES, URGENCIES, SECONDS, st.floats(0.001, 100))
def test_waiting_makes_up_for_urgency(mine: int, other: int, arrived: float, more: float) -> None:
    later = arrived + max(0, mine - other) * AGEING_SECONDS + more
    assert turn_of(mine, arrived) < turn_of(other, later)


@given(URGENCIES, URGENCIES, SECONDS)
def test_of_two_that_come_together_the_more_urgent_goes_first(mine: int, other: int, arrived: float) -> None:
    assert (turn_of(mine, arrived) < turn_of(other, arrived)) == (mine < other)
