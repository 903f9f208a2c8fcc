"""The application: ``create_app`` puts the parts together, the lifespan starts and ends them."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from fastapi import FastAPI
from fastapi_offline import FastAPIOffline

from app.context import RequestContext
from app.openapi import add_examples
from app.problem_responses import add_problem_handlers
from app.reports.schema import NOTICE
from app.routes import analysis, operations
from app.service import VERSION, Service
from app.settings import Settings
from models.workflow import Workflow

_DESCRIPTION = f"""Lung and disease masks, an overlay and a severity score from 0 to 6 for frontal chest radiographs,
after Danilov et al., *Scientific Reports* 12:12791 (2022). **{NOTICE}**"""


def create_app(
    settings: Settings | None = None,
    workflow: Workflow | None = None,
    on_failure: Callable[[], None] = lambda: None,
) -> FastAPI:
    """The service as an ASGI application.

    Args:
        settings: None reads the environment.
        workflow: used instead of the weights that the settings name.
        on_failure: called when the networks cannot be loaded or fail their self-test; ends the server.
    """
    service = Service(settings or Settings(), workflow, on_failure)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        service.begin()
        if workflow is not None:
            # There is nothing to load, so nothing to answer health checks for meanwhile.
            await service.started()
        yield
        await service.end()

    app = FastAPIOffline(
        title="Chest radiograph severity",
        version=VERSION,
        description=_DESCRIPTION,
        lifespan=lifespan,
        redoc_url=None,
    )
    app.state.service = service
    app.add_middleware(RequestContext, metrics=service.metrics)
    add_problem_handlers(app)
    app.include_router(analysis.router)
    app.include_router(operations.router)
    add_examples(app)
    return app
