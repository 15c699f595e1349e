"""The API, as an ASGI application: `uvicorn pamps.app:app`."""

import asyncio
import gc
import multiprocessing
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from anyio.to_thread import current_default_thread_limiter
from fastapi import FastAPI

from pamps import __version__, server, statements
from pamps.config import settings
from pamps.errors import handle_errors
from pamps.folder import EmbeddedError, secret_key
from pamps.legacy import SESSIONS, engine
from pamps.maintenance import cleanup, deletion
from pamps.middleware.body import WholeBody
from pamps.middleware.deadline import Deadline
from pamps.middleware.idempotency import Idempotency
from pamps.middleware.proxy_headers import ProxyHeaders
from pamps.middleware.rate_limit import RateLimit
from pamps.middleware.retries import Retries
from pamps.middleware.security_headers import add_headers
from pamps.observability import logs, metrics, telemetry
from pamps.openapi import add_openapi
from pamps.paths import BASE, ControlCharacters, Head, PlainPaths, match_without_slash
from pamps.postgres import embedded, pool
from pamps.routes import routes
from pamps.swagger import add_docs

DESCRIPTION = """
Short posts, replies, likes, and a timeline of the people you follow.

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
    {"name": "user", "description": "Accounts, profiles, follows and the timeline."},
    {"name": "post", "description": "Posts, replies and likes."},
    {"name": "admin", "description": "What superusers may do to other accounts."},
]


@asynccontextmanager
async def _lifespan(_: FastAPI) -> AsyncIterator[None]:
    current_default_thread_limiter().total_tokens = SESSIONS
    server.follow_parent()
    if settings.metrics.port:
        metrics.sample()
    # What is there now stays, so the garbage collector need not look through it again and again.
    gc.collect()
    gc.freeze()
    sweeping = asyncio.create_task(cleanup.sweep_regularly())
    async with pool.opened(), deletion.running():
        yield
    sweeping.cancel()
    engine.dispose()
    statements.pools.end()
    embedded.stop()  # uvicorn ends a process by the signal that it got, which skips atexit
    telemetry.stop()
    if multiprocessing.parent_process():  # else `pamps serve` itself does it, or a test goes on
        server.leave()


logs.configure()
try:
    secret_key()
except EmbeddedError as error:  # said by `pamps serve` before, but not by uvicorn
    raise SystemExit(f"pamps: {error}") from None
app = FastAPI(
    title="Pamps",
    version=__version__,
    contact={"name": "The maintainers of Pamps"},
    license_info={"name": "MIT", "identifier": "MIT"},
    description=DESCRIPTION,
    openapi_tags=TAGS,
    lifespan=_lifespan,
    openapi_url="/openapi.json" if settings.server.docs else None,
    docs_url=None,
    redoc_url=None,
    servers=[{"url": BASE or "/"}],
    telemetry=telemetry.config(),
)
app.router.routes.extend(routes)
if settings.server.docs:
    add_openapi(app)
    add_docs(app)
app.router.redirect_slashes = False
match_without_slash(app.routes)

# Each wraps the ones before it. The rate limit looks up the caller's session, so the deadline and
# the handling of errors are around it.
app.add_middleware(Idempotency)
app.add_middleware(Retries)
app.add_middleware(ControlCharacters)
app.add_middleware(RateLimit)
handle_errors(app)
app.add_middleware(Deadline)
app.add_middleware(WholeBody)
add_headers(app)
app.add_middleware(Head)
app.add_middleware(PlainPaths)
app.add_middleware(logs.RequestLog)
if settings.metrics.port:
    app.add_middleware(metrics.RequestMetrics)
app.add_middleware(ProxyHeaders, trusted=settings.server.trusted_proxies)
