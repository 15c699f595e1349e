"""The API, as an ASGI application: `uvicorn pamps.app:app`."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from pamps import embedded
from pamps.db import engine
from pamps.errors import handle_errors
from pamps.routes import main_router

DESCRIPTION = """
Short posts, replies, likes, and a timeline of the people you follow.

**Sign in** with `POST /token` (the *Authorize* button does it) and send the access token as
`Authorization: Bearer …`. **Lists** are arrays of at most `limit` items; while there are more, the
`Link` header of the answer has the address of the next page. **Errors** are `{"detail": …}`.
"""

TAGS = [
    {"name": "auth", "description": "Signing in, and staying signed in."},
    {"name": "user", "description": "Accounts, profiles, who follows whom, and your timeline."},
    {"name": "post", "description": "Posts, replies and likes."},
]


@asynccontextmanager
async def _lifespan(_: FastAPI) -> AsyncIterator[None]:
    yield
    engine.dispose()
    embedded.stop()  # uvicorn ends a process by the signal that it got, which skips atexit


app = FastAPI(
    title="Pamps",
    version="0.1.0",
    description=DESCRIPTION,
    openapi_tags=TAGS,
    lifespan=_lifespan,
    generate_unique_id_function=lambda route: route.name,
)
handle_errors(app)
app.include_router(main_router)
