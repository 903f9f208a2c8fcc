"""``POST /score``, ``/segment`` and ``/compare``: one radiograph in, or two, and severity (and masks) out."""

from functools import partial
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import Response

from app.http.negotiation import choose_media_type
from app.reports import schema
from app.reports.answers import overlay_png, score_json, score_text, segment_json
from app.reports.comparison import check_same_patient, comparison_json
from app.reports.dicom import DICOM, check_reportable, segmentation_dicom
from app.routes.answering import answer, answer_pair
from app.routes.documented import BINARY, BODY, PAIR_BODY, PROBLEM_RESPONSES
from app.routes.priority import read_priority
from app.routes.query import CompareQuery, ScoreQuery, SegmentQuery

JSON, PNG, TEXT = "application/json", "image/png", "text/plain"


router = APIRouter(tags=["analysis"], dependencies=[Depends(read_priority)])


@router.post(
    "/score",
    response_model=schema.ScoreReport,
    responses={**PROBLEM_RESPONSES, 200: {"content": {TEXT: {"schema": {"type": "string"}}}}},
    openapi_extra={"requestBody": BODY},
)
async def score(request: Request, query: Annotated[ScoreQuery, Query()]) -> Response:
    """The severity of one frontal chest radiograph: 0..6 affected lung zones; with `Accept: text/plain` in words."""
    if choose_media_type(request.headers.get("accept", ""), [JSON, TEXT]) == TEXT:
        return await answer(request, query, score_text, f"{TEXT}; charset=utf-8")
    return await answer(request, query, score_json, JSON, query.drawn)


@router.post(
    "/segment",
    response_model=schema.SegmentReport,
    responses={**PROBLEM_RESPONSES, 200: {"content": {PNG: {"schema": BINARY}, DICOM: {"schema": BINARY}}}},
    openapi_extra={"requestBody": BODY},
)
async def segment(request: Request, query: Annotated[SegmentQuery, Query()]) -> Response:
    """Severity and masks; with `Accept: image/png` the overlay, with `application/dicom` a DICOM Segmentation."""
    wanted = choose_media_type(request.headers.get("accept", ""), [JSON, PNG, DICOM])
    if wanted == PNG:
        return await answer(request, query, overlay_png, PNG)
    if wanted == DICOM:
        segmentation = partial(segmentation_dicom, polarity=query.polarity)
        return await answer(request, query, segmentation, DICOM, check=check_reportable)
    render = partial(segment_json, contours=query.contours, radiograph=query.radiograph)
    return await answer(request, query, render, JSON, query.drawn)


@router.post(
    "/compare",
    response_model=schema.ComparisonReport,
    responses=PROBLEM_RESPONSES,
    openapi_extra={"requestBody": PAIR_BODY},
)
async def compare(request: Request, query: Annotated[CompareQuery, Query()]) -> Response:
    """Two radiographs of the same patient, the form's parts `earlier` and `later`: both severities and the change."""
    choose_media_type(request.headers.get("accept", ""), [JSON])
    parts = ("earlier", "later")
    return await answer_pair(request, query, parts, comparison_json, JSON, query.drawn, check_same_patient)
