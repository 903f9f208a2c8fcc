"""``POST /reports`` and its parts: a DICOM radiograph in, DICOM objects for its study out."""

from functools import partial
from typing import Annotated, Any, Final
from uuid import uuid4

from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import Response

from app.http.negotiation import choose_media_type
from app.reports.bundle import media_type_of, multipart, zipped
from app.reports.dicom import DICOM, capture_dicom, check_reportable, report_dicom
from app.routes.answering import accept_any, answer
from app.routes.authentication import require_key
from app.routes.documented import BINARY, BODY, PROBLEM_RESPONSES
from app.routes.query import AnalysisQuery, ReportsQuery

MULTIPART, ZIP = "multipart/related", "application/zip"

router = APIRouter(prefix="/reports", tags=["analysis"], dependencies=[Depends(require_key)])


class _DicomResponse(Response):
    media_type = DICOM


_RESPONSES: Final[dict[int | str, dict[str, Any]]] = {
    **PROBLEM_RESPONSES,
    200: {"content": {DICOM: {"schema": BINARY}}},
}


@router.post(
    "",
    response_class=Response,
    responses={**PROBLEM_RESPONSES, 200: {"content": {MULTIPART: {"schema": BINARY}, ZIP: {"schema": BINARY}}}},
    openapi_extra={"requestBody": BODY},
)
async def reports(request: Request, query: Annotated[ReportsQuery, Query()]) -> Response:
    """Several results of one analysis: `multipart/related`, or with `Accept: application/zip` a ZIP."""
    wanted = choose_media_type(request.headers.get("accept", ""), [MULTIPART, ZIP])
    check = check_reportable if set(query.include) != {"json"} else accept_any
    if wanted == ZIP:
        render = partial(zipped, polarity=query.polarity, include=query.include)
        return await answer(request, query, render, ZIP, check=check)
    boundary = uuid4().hex
    parts = partial(multipart, polarity=query.polarity, include=query.include, boundary=boundary)
    media_type = f'{MULTIPART}; type="{media_type_of(query.include[0])}"; boundary={boundary}'
    return await answer(request, query, parts, media_type, check=check)


@router.post("/sr", response_class=_DicomResponse, responses=_RESPONSES, openapi_extra={"requestBody": BODY})
async def structured_report(request: Request, query: Annotated[AnalysisQuery, Query()]) -> Response:
    """Score, zone shares and quality flags of a DICOM radiograph as a DICOM Structured Report (TID 1500)."""
    choose_media_type(request.headers.get("accept", ""), [DICOM])
    render = partial(report_dicom, polarity=query.polarity)
    return await answer(request, query, render, DICOM, check=check_reportable)


@router.post("/sc", response_class=_DicomResponse, responses=_RESPONSES, openapi_extra={"requestBody": BODY})
async def secondary_capture(request: Request, query: Annotated[AnalysisQuery, Query()]) -> Response:
    """The overlay of a DICOM radiograph as a DICOM Secondary Capture."""
    choose_media_type(request.headers.get("accept", ""), [DICOM])
    render = partial(capture_dicom, polarity=query.polarity)
    return await answer(request, query, render, DICOM, check=check_reportable)
