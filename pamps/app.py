"""The API, as an ASGI application: `uvicorn pamps.app:app`."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from pamps import embedded, logs
from pamps.config import settings
from pamps.db import engine
from pamps.docs import add_docs
from pamps.errors import handle_errors
from pamps.headers import add_headers
from pamps.ratelimit import RateLimit
from pamps.routes import main_router

DESCRIPTION = """
Short posts, replies, likes, and a timeline of the people you follow.

**Sign in** with `POST /token` (the *Authorize* button does it) and send the access token as
`Authorization: Bearer …`. **Lists** are arrays of at most `limit` items; while there are more, the
`Link` header of the answer has the address of the next page. **Errors** are `{"detail": …}`.
"""

TAGS = [
    {"name": "auth", "description": "Signing in, staying signed in, signing out; your password."},
    {"name": "user", "description": "Accounts, profiles, who follows whom, and your timeline."},
    {"name": "post", "description": "Posts, replies and likes."},
    {"name": "admin", "description": "What superusers may do to the accounts of others."},
]


@asynccontextmanager
async def _lifespan(_: FastAPI) -> AsyncIterator[None]:
    yield
    engine.dispose()
    embedded.stop()  # uvicorn ends a process by the signal that it got, which skips atexit


logs.configure()
app = FastAPI(
    title="Pamps",
    version="0.1.0",
    description=DESCRIPTION,
    openapi_tags=TAGS,
    lifespan=_lifespan,
    generate_unique_id_function=lambda route: route.name,
    openapi_url="/openapi.json" if settings.server.docs else None,
    docs_url=None,
    redoc_url=None,
)
app.include_router(main_router)
if settings.server.docs:
    add_docs(app)

# Each wraps the ones before it: who is calling comes first, then the id, then what may be refused.
handle_errors(app)
app.add_middleware(RateLimit)
add_headers(app)
app.add_middleware(logs.RequestLog)
app.add_middleware(ProxyHeadersMiddleware, trusted_hosts=settings.server.trusted_proxies)
