"""The API as an ASGI application: `uvicorn pamps.app:app`."""

import asyncio
import logging
import multiprocessing
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from fastapi import FastAPI
from fastapi.middleware.cors import CORSMiddleware
from starlette.middleware import Middleware

from pamps import __version__, server
from pamps.config import settings
from pamps.db import engine
from pamps.errors import EXCEPTION_HANDLERS
from pamps.folder import FolderError, secret_key
from pamps.mail import ENABLED as MAIL_ENABLED
from pamps.mail.sender import send_in_background
from pamps.maintenance import cleanup, deletion
from pamps.middleware import LifespanMiddleware
from pamps.middleware.body import BodyLimitMiddleware
from pamps.middleware.deadline import DeadlineMiddleware
from pamps.middleware.errors import ErrorMiddleware
from pamps.middleware.hints import HintMiddleware
from pamps.middleware.idempotency import IdempotencyMiddleware
from pamps.middleware.metrics import MetricsMiddleware
from pamps.middleware.paths import HeadMiddleware, PathMiddleware
from pamps.middleware.proxy_headers import ProxyHeadersMiddleware
from pamps.middleware.rate_limit import RateLimitMiddleware
from pamps.middleware.replication import ReplicationMiddleware
from pamps.middleware.request_log import RequestLogMiddleware
from pamps.middleware.retries import RetryMiddleware
from pamps.middleware.security_headers import SecurityHeadersMiddleware
from pamps.middleware.stream import StreamMiddleware
from pamps.middleware.web import WebMiddleware, find_build
from pamps.observability import logs, metrics, telemetry
from pamps.openapi import HEADERS, add_openapi
from pamps.paths import BASE_URL, match_without_slash
from pamps.postgres import embedded, pool
from pamps.replication import open_replication
from pamps.routes import routes
from pamps.swagger import add_docs

logger = logging.getLogger(__name__)

DESCRIPTION = """
Short posts, replies, likes and reposts, and a timeline of the people you follow.

**Sign in** with `POST /token` (the *Authorize* button does that) and send the access token in the
header `Authorization: Bearer …`. **Errors** are `{"detail": …}`. **Lists** are arrays of at most
`limit` items; while there are more, the `Link` header refers to the next page, relative to the
address of this one. An **`ETag`** sent back as `If-None-Match` gives 304 if nothing has changed;
sent as `If-Match` of a change, it gives 412 if what the change would overwrite has changed.
A POST with an **`Idempotency-Key`** is done once, however often it is sent, so it can be sent again
after a lost connection or a **503**.
"""

TAGS = [
    {"name": "auth", "description": "Signing in and out, tokens, sessions, the password."},
    {
        "name": "user",
        "description": "Accounts, follows, blocks, mutes, notifications, the timeline.",
    },
    {
        "name": "post",
        "description": "Posts, likes, reposts, bookmarks, hashtags and search.",
    },
    {"name": "live", "description": "What happens, as it happens."},
    {"name": "admin", "description": "What superusers may do to other accounts."},
]

CORS = Middleware(
    CORSMiddleware,
    allow_origins=settings.cors.allow_origins,
    allow_credentials=settings.cors.allow_credentials,
    allow_methods=["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"],
    allow_headers=["*"],
    expose_headers=list(HEADERS),
)


def middleware(build: Path | None) -> list[Middleware]:
    """Return all middleware, outermost first: each sees the requests that those above let through.

    Starlette adds its own for unexpected errors outside of these, and inside of them the one that
    calls exception handlers.
    """
    return [
        # Lets only HTTP requests pass.
        Middleware(LifespanMiddleware),
        # Takes the client's address from trusted proxies: first, as the log and all limits use it.
        Middleware(ProxyHeadersMiddleware, trusted=settings.server.trusted_proxies),
        # Counts requests and measures their time, all layers below included.
        *([Middleware(MetricsMiddleware)] if settings.metrics.port else []),
        # Gives each request an id and a line in the log, whichever layer below responds.
        Middleware(RequestLogMiddleware),
        # Removes root_path and the trailing slash, so that all layers below see one spelling.
        Middleware(PathMiddleware),
        # Turns HEAD into GET, so that no layer below has to know HEAD.
        Middleware(HeadMiddleware),
        # Sends events on streams, after all layers below have ended.
        Middleware(StreamMiddleware),
        # Adds security headers, also to the errors of the layers below.
        Middleware(SecurityHeadersMiddleware),
        # Responds to preflight requests of other origins, which count for no limit.
        *([CORS] if settings.cors.allow_origins else []),
        # Serves the web client from its build, if there is one: above all limits.
        *([Middleware(WebMiddleware, build=build)] if build else []),
        # Reads the body, at most 64 KiB: above the deadline, so that slow uploads do not count.
        Middleware(BodyLimitMiddleware),
        # Responds with 503 after request_timeout, or to more than max_requests at once.
        Middleware(DeadlineMiddleware),
        # Responds to errors that no handler expects: above all layers that use the database.
        Middleware(ErrorMiddleware),
        # Lets requests read from replicas, and records the positions of writes: above the layers
        # that look up the user, and those that commit.
        *([Middleware(ReplicationMiddleware)] if settings.db.replica_uri else []),
        # Limits the requests of each caller, whose session it looks up in the database.
        Middleware(RateLimitMiddleware),
        # Tells all processes of events after a write: above the layers that commit.
        Middleware(HintMiddleware),
        # Retries aborted transactions, and so must be above the layer that makes one.
        Middleware(RetryMiddleware),
        # Makes a POST with an Idempotency-Key one transaction.
        Middleware(IdempotencyMiddleware),
    ]


@asynccontextmanager
async def _lifespan(_: FastAPI) -> AsyncIterator[None]:
    server.exit_with_parent()
    async with pool.open_pool() as connections, open_replication():
        if settings.metrics.port:
            metrics.sample_connections(connections)
        tasks = [
            asyncio.create_task(cleanup.delete_expired_in_background()),
            asyncio.create_task(deletion.delete_rows_in_background()),
        ]
        if MAIL_ENABLED:
            has_pages = settings.server.web and find_build() is not None
            tasks.append(asyncio.create_task(send_in_background(has_pages=has_pages)))
        yield
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
    engine.dispose()
    embedded.stop()  # uvicorn ends a process by the signal that it got, which skips atexit
    telemetry.send_remaining_spans()
    if multiprocessing.parent_process():  # not in tests, whose process goes on
        server.exit_after_timeout()


def create_app() -> FastAPI:
    """Return the application. Exits with one line if there is no secret to sign tokens with."""
    logs.configure()
    try:
        secret_key()
    except FolderError as error:  # `pamps serve` has reported it before, uvicorn has not
        raise SystemExit(f"pamps: {error}") from None
    build = find_build() if settings.server.web else None
    app = FastAPI(
        title="Pamps",
        version=__version__,
        contact={"name": "The maintainers of Pamps"},
        license_info={"name": "MIT", "identifier": "MIT"},
        description=DESCRIPTION,
        openapi_tags=TAGS,
        lifespan=_lifespan,
        middleware=middleware(build),
        exception_handlers=EXCEPTION_HANDLERS,
        openapi_url=None,  # add_openapi serves it, in two languages
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        servers=[{"url": BASE_URL or "/"}],
        telemetry=telemetry.config(),
    )
    app.router.routes.extend(routes)
    if settings.server.docs:
        add_openapi(app)
        add_docs(app)
    match_without_slash(app.routes)
    if build:
        app.frontend("/", directory=build, fallback=None)  # WebMiddleware decides who gets the page
    elif settings.server.web:
        logger.warning(
            "there is no page, only the API: the web client is not built (./run.sh does it)"
        )
    return app


app = create_app()
