import pytest

from benchmarks.networks import main


def test_number_formats_are_compared(capsys: pytest.CaptureFixture[str]) -> None:
    main(["--precisions", "auto", "--rounds", "1"])
    head, _, *rows = (line.strip("| ").split(" | ") for line in capsys.readouterr().out.splitlines())
    assert [row[0] for row in rows] == ["PyTorch, layer by layer", "auto"]
    assert all(len(row) == len(head) and all(float(figure) > 0 for figure in row[1:]) for row in rows)
