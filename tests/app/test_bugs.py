"""A bug of ours: the answer says nothing of it, the log all."""

from pathlib import Path

from tests.support.problems import assert_problem
from tests.support.server import running

HAS_A_BUG = """
import sys
from app.serving import serve
from app.settings import Settings
from tests.support.pictures import lung_mask
from tests.support.stubs import FixedMap, stub_workflow

workflow = stub_workflow(FixedMap(lung_mask()))
conclude, concluded = workflow.conclude, []

def fails_after_the_self_test(*arguments):
    concluded.append(arguments)
    if len(concluded) > 1:
        raise KeyError("secret detail")
    return conclude(*arguments)

workflow.conclude = fails_after_the_self_test
sys.exit(serve(Settings(), workflow))
"""


def test_a_bug_is_500_without_detail_and_harms_nobody_else(tmp_path: Path, phantom_png: bytes) -> None:
    with running(tmp_path, HAS_A_BUG) as server:
        problem = assert_problem(server.client.post("/score", content=phantom_png), 500, "internal")
        assert "secret" not in str(problem)
        assert server.client.get("/health/ready").status_code == 200
        entry = server.answered(problem["request_id"])
        (bug,) = [line for line in server.log_lines() if line["message"] == "bug"]
        assert bug["request_id"] == problem["request_id"]
        assert "secret detail" in bug["exception"]
        assert (entry["status"], entry["problem"]) == (500, "internal")
