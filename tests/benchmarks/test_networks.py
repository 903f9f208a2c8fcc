import pytest

from tests.benchmarks.networks import main


def test_the_steps_that_lead_to_the_service_are_compared(capsys: pytest.CaptureFixture[str]) -> None:
    main(["--steps", "--rounds", "1", "--batches", "1"])
    head, _, *rows = (line.strip("| ").split(" | ") for line in capsys.readouterr().out.splitlines())
    assert [len(row) for row in rows] == [len(head)]
    assert [float(rate) > 0 for rate in rows[0][:5]] == [True] * 5
