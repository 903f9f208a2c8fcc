"""``POST /reports`` and its parts: a DICOM radiograph in, DICOM objects for its study out."""

from collections.abc import Sequence
from functools import partial
from typing import Annotated, Any, Final
from uuid import uuid4

from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import Response

from app.http.negotiation import choose_media_type
from app.pipeline import Check
from app.reports.bundle import ResultName, media_type_of, multipart, zipped
from app.reports.dicom import (
    DICOM,
    capture_dicom,
    check_presentable,
    check_reportable,
    presentation_dicom,
    report_dicom,
)
from app.reports.fhir import FHIR, fhir_json
from app.routes.answering import accept_any, answer
from app.routes.documented import BINARY, BODY, PROBLEM_RESPONSES
from app.routes.priority import read_priority
from app.routes.query import AnalysisQuery, FhirQuery, ReportsQuery

MULTIPART, ZIP = "multipart/related", "application/zip"

router = APIRouter(prefix="/reports", tags=["analysis"], dependencies=[Depends(read_priority)])


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
    check = _check(query.include)
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


@router.post("/pr", response_class=_DicomResponse, responses=_RESPONSES, openapi_extra={"requestBody": BODY})
async def presentation_state(request: Request, query: Annotated[AnalysisQuery, Query()]) -> Response:
    """Outlines, shares and score as a DICOM Presentation State, to be switched on over the radiograph."""
    choose_media_type(request.headers.get("accept", ""), [DICOM])
    render = partial(presentation_dicom, polarity=query.polarity)
    return await answer(request, query, render, DICOM, check=check_presentable)


@router.post(
    "/fhir",
    response_class=Response,
    responses={**PROBLEM_RESPONSES, 200: {"content": {FHIR: {"schema": {"type": "object"}}}}},
    openapi_extra={"requestBody": BODY},
)
async def fhir(request: Request, query: Annotated[FhirQuery, Query()]) -> Response:
    """Score, zone shares and doubts of a DICOM radiograph as a FHIR Bundle."""
    choose_media_type(request.headers.get("accept", ""), [FHIR])
    render = partial(fhir_json, polarity=query.polarity, release=query.release)
    return await answer(request, query, render, FHIR, check=check_reportable)


def _check(include: Sequence[ResultName]) -> Check:
    """What an upload must be for these results."""
    if "pr" in include:
        return check_presentable
    return accept_any if set(include) == {"json"} else check_reportable
