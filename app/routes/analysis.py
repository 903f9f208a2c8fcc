"""``POST /score`` and ``POST /segment``: one radiograph in, its severity (and masks) out."""

from functools import partial
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from pydantic import Field
from starlette.responses import Response

from app.authentication import require_key
from app.reports import schema
from app.reports.answers import overlay_png, score_json, segment_json
from app.reports.dicom import DICOM, check_reportable, segmentation_dicom
from app.reports.overlay import PictureFormat
from app.routes.answering import BINARY, BODY, PROBLEM_RESPONSES, AnalysisQuery, answer
from app.routes.negotiation import choose_media_type
from models.analysis import Question

JSON, PNG = "application/json", "image/png"


class ScoreQuery(AnalysisQuery):
    """The query parameters that both routes take."""

    overlay: bool = Field(True, description="draw the overlay")
    overlay_format: PictureFormat = Field("jpeg", description="how it is encoded")
    uncertainty: bool = Field(False, description="add an interval to each share and a range to the score")

    @property
    def question(self) -> Question:
        """What the workflow is asked."""
        return Question(self.threshold, self.polarity, self.uncertainty)

    @property
    def drawn(self) -> PictureFormat | None:
        """How the overlay is encoded; None: no overlay."""
        return self.overlay_format if self.overlay else None


class SegmentQuery(ScoreQuery):
    """And what only masks have."""

    contours: bool = Field(False, description="add each mask's polygons")
    radiograph: bool = Field(False, description="add the radiograph itself, gray, for a viewer to draw on")


router = APIRouter(tags=["analysis"], dependencies=[Depends(require_key)])


@router.post(
    "/score",
    response_model=schema.ScoreReport,
    responses=PROBLEM_RESPONSES,
    openapi_extra={"requestBody": BODY},
)
async def score(request: Request, query: Annotated[ScoreQuery, Query()]) -> Response:
    """The severity of one frontal chest radiograph: 0..6 affected lung zones."""
    choose_media_type(request.headers.get("accept", ""), [JSON])
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
