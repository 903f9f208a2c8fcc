import pytest

from benchmarks.efficiency import HOST, NETWORKS, Turn, row, table, take_turns
from benchmarks.tables import render
from models.runtime.processors import available_cpus


def figures(rate: float) -> dict[str, float]:
    """100 + 50 ms of CPU a radiograph in the parts."""
    turns = {NETWORKS: Turn(10, 100, 10), HOST: Turn(10, 200, 10), "16": Turn(10, 10 * rate, 18)}
    return row(turns, 16)


def test_the_share_is_of_what_the_parts_allow_on_all_cores() -> None:
    possible = available_cpus() / 0.150
    assert figures(possible)["efficiency"] == pytest.approx(1.0)
    assert figures(possible / 2)["efficiency"] == pytest.approx(0.5)
    assert figures(possible)["cores_busy"] == pytest.approx(1.8)


def test_turns_add_up() -> None:
    calls: list[tuple[str, float]] = []

    def run(name: str, turn: Turn) -> Turn:
        calls.append((name, turn.seconds))
        return turn

    found = take_turns(
        {"a": lambda seconds: run("a", Turn(seconds, 4, 1)), "b": lambda _: run("b", Turn(5, 0, 2))}, 3, 2.0
    )
    assert found == {"a": Turn(6, 12, 3), "b": Turn(15, 0, 6)}
    assert calls == [("a", 2.0), ("b", 5)] * 3


def test_the_bar_is_on_the_median_of_rounds() -> None:
    possible = available_cpus() / 0.150
    for shares, met in (((0.90, 0.96, 0.99), True), ((0.90, 0.94, 0.99), False)):
        rows = [
            {"section": "efficiency", "round": number, **figures(share * possible)}
            for number, share in enumerate(shares)
        ]
        text, all_met = render(rows)
        assert all_met is met
        assert f"{shares[1]:.3f} (0.900 to 0.990)" in text
    assert "| 16 | " in table([figures(possible)])
