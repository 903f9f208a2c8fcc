"""Routes for operators and orchestrators: health, metrics and the loaded networks."""

from typing import Any

from fastapi import APIRouter, Depends, Request
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from pydantic import BaseModel
from starlette.responses import Response

from app.errors import Internal, NotReady, Unauthorised
from app.reports.schema import NOTICE
from app.routes.authentication import require_operations_key
from app.routes.documented import problem_responses
from app.service import Service
from app.version import BUILD, VERSION
from models.runtime.stage import Stage

health = APIRouter(tags=["operations"])
"""Needs no key: orchestrators' probes have none, and a one-word answer reveals nothing."""
router = APIRouter(tags=["operations"], dependencies=[Depends(require_operations_key)])


class Health(BaseModel):
    """The state of the service, in one word."""

    status: str


class StageReport(BaseModel):
    """One loaded network; ``card`` is all that is known about its weights."""

    device: str
    precision: str
    input_size: int
    card: dict[str, Any] | None


class ModelsReport(BaseModel):
    """The pair of networks in use, and how they are used."""

    service: str
    build: str | None
    threshold: float
    crop: str
    two_lung_rule: str
    lungs: StageReport
    disease: StageReport
    notice: str = NOTICE


@health.head("/health/live", include_in_schema=False)
@health.get("/health/live", responses=problem_responses(Internal))
async def live(request: Request) -> Health:
    """Whether the process works at all; it also answers while the networks load."""
    service: Service = request.app.state.service
    if service.failure is not None:
        raise Internal("The service cannot go on; the log has the reason")
    return Health(status="live")


@health.head("/health/ready", include_in_schema=False)
@health.get("/health/ready", responses=problem_responses(NotReady))
async def ready(request: Request) -> Health:
    """Whether radiographs are accepted: both stages are loaded, warmed up and self-tested, and it is not draining."""
    service: Service = request.app.state.service
    service.check_ready()
    return Health(status="ready")


@router.get(
    "/metrics",
    response_class=Response,
    responses={200: {"content": {"text/plain": {}}}, **problem_responses(Unauthorised)},
)
async def metrics(request: Request) -> Response:
    """Prometheus metrics."""
    service: Service = request.app.state.service
    return Response(generate_latest(service.metrics.registry), media_type=CONTENT_TYPE_LATEST)


@router.get("/models", responses=problem_responses(Unauthorised, NotReady))
async def models(request: Request) -> ModelsReport:
    """The loaded networks with their cards."""
    service: Service = request.app.state.service
    workflow = service.workflow
    return ModelsReport(
        service=VERSION,
        build=BUILD,
        threshold=workflow.threshold,
        crop=workflow.crop,
        two_lung_rule=workflow.two_lung_rule,
        lungs=_stage_report(workflow.lungs),
        disease=_stage_report(workflow.disease),
    )


def _stage_report(stage: Stage) -> StageReport:
    return StageReport(
        device=str(stage.device),
        precision=stage.precision,
        input_size=stage.input_size,
        card=stage.card.model_dump(mode="json") if stage.card else None,
    )
