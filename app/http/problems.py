"""Problems as RFC 9457 ``application/problem+json`` answers."""

from functools import cached_property

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import Response

from app.errors import Internal, InvalidParameter, MethodNotAllowed, NotFound, Problem
from app.http.parameters import describe_faults
from app.http.request_id import request_id
from app.reports.schema import ProblemReport

CLIENT_GONE = 499
"""The status in log and metrics for a client that left before its answer began."""
MEDIA_TYPE = "application/problem+json"


def problem_report(problem: Problem, request_id: str) -> ProblemReport:
    """``problem`` in the form of RFC 9457."""
    return ProblemReport(
        type=f"urn:cxr:problem:{problem.code}",
        title=problem.title,
        status=problem.status,
        detail=problem.detail,
        code=problem.code,
        request_id=request_id,
    )


def problem_response(request: Request, problem: Problem) -> Response:
    """The answer to a request that ran into ``problem``."""
    report = problem_report(problem, request_id(request.scope))
    request.scope["state"]["problem"] = problem.code
    return Response(report.model_dump_json(), problem.status, problem.headers, MEDIA_TYPE)


def add_problem_handlers(app: FastAPI) -> None:
    """Answers every error that a route may raise with a problem."""
    app.add_exception_handler(Problem, _problem)  # type: ignore[arg-type]
    app.add_exception_handler(RequestValidationError, _Invalid(app))  # type: ignore[arg-type]
    app.add_exception_handler(HTTPException, _http)  # type: ignore[arg-type]
    app.add_exception_handler(ClientDisconnect, _gone)


async def _problem(request: Request, error: Problem) -> Response:
    return problem_response(request, error)


class _Invalid:
    """Answers a request whose query parameters are not valid."""

    def __init__(self, app: FastAPI) -> None:
        self._app = app

    async def __call__(self, request: Request, error: RequestValidationError) -> Response:
        known = self._parameters[request.scope["route"].path]
        return problem_response(request, InvalidParameter(describe_faults(error.errors(), known)))

    @cached_property
    def _parameters(self) -> dict[str, list[str]]:
        """The names of the query parameters by path; built once, after all routes have been added."""
        posts = {path: routes["post"] for path, routes in self._app.openapi()["paths"].items() if "post" in routes}
        return {
            path: [one["name"] for one in post["parameters"] if one["in"] == "query"] for path, post in posts.items()
        }


async def _http(request: Request, error: HTTPException) -> Response:
    """Answers what the router itself refuses."""
    kind = {404: NotFound, 405: MethodNotAllowed}.get(error.status_code, Internal)
    return problem_response(request, kind(str(error.detail), error.headers))


async def _gone(request: Request, error: Exception) -> Response:
    """Nobody reads this answer; it keeps a client that left from being logged as our error."""
    return Response(status_code=CLIENT_GONE)


def bug_response(request: Request) -> Response:
    """The answer to an unexpected error. It does not reveal the reason, which is in the log."""
    return problem_response(request, Internal("The request could not be completed; the log has the reason"))
