"""The application: ``create_app`` connects the parts, and the lifespan starts and ends them."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from fastapi import FastAPI
from fastapi.middleware.cors import CORSMiddleware
from fastapi_offline import FastAPIOffline

from app.http.context import VERSION_HEADER, RequestContext
from app.http.openapi import complete
from app.http.problems import add_problem_handlers
from app.http.request_id import REQUEST_ID_HEADER
from app.http.security_headers import SecurityHeaders
from app.intake import dicom
from app.reports.schema import NOTICE
from app.routes import analysis, operations, pages, reports
from app.service import Service
from app.settings import Settings
from app.version import VERSION
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
        settings: None: read from the environment.
        workflow: used instead of the weights that the settings name.
        on_failure: called when the networks cannot be loaded or fail their self-test; ends the server.
    """
    dicom.configure()
    service = Service(settings or Settings(), workflow, on_failure)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        service.begin()
        if workflow is not None:
            # Nothing has to be loaded, so no health check has to be answered meanwhile.
            await service.started()
        yield
        await service.end()

    app = FastAPIOffline(
        title="Chest radiograph severity",
        version=VERSION,
        description=_DESCRIPTION,
        lifespan=lifespan,
        # Generators make functions' names from these: short, and the same for ever.
        generate_unique_id_function=lambda route: route.name,
        docs_url=None,
        redoc_url=None,
        static_url=pages.STATIC,
    )
    app.state.service = service
    _add_middleware(app, service)
    add_problem_handlers(app)
    app.include_router(analysis.router)
    app.include_router(reports.router)
    app.include_router(operations.health)
    app.include_router(operations.router)
    app.include_router(pages.router)
    complete(app)
    return app


def _add_middleware(app: FastAPI, service: Service) -> None:
    """Adds the middleware, innermost first."""
    app.add_middleware(RequestContext, metrics=service.metrics, tracing=service.tracing)
    if service.settings.cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=service.settings.cors_origins,
            allow_methods=["GET", "POST"],
            allow_headers=["Authorization", "Content-Type", "Priority", "X-API-Key", "traceparent", REQUEST_ID_HEADER],
            expose_headers=["Retry-After", REQUEST_ID_HEADER, VERSION_HEADER],
        )
    app.add_middleware(SecurityHeaders)
