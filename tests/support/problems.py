"""Answers that are problems."""

import httpx

from app.errors import Problem


def assert_problem(answer: httpx.Response, status: int, code: str) -> dict[str, object]:
    """An answer is the problem of this code, in the form that all have; its fields."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    problem: dict[str, object] = answer.json()
    assert problem["code"] == code
    assert problem["status"] == status
    assert problem["request_id"] == answer.headers["x-request-id"]
    assert set(problem) == {"type", "title", "status", "detail", "code", "request_id"}
    return problem


def all_problems() -> list[type[Problem]]:
    """Every problem class, in the order of its status and code."""
    return sorted(Problem.__subclasses__(), key=lambda kind: (kind.status, kind.code))
