"""Search for users."""

from typing import Annotated

from fastapi import APIRouter, Query as QueryParameters, Request, Response
from pydantic import Field

from pamps.db import Query
from pamps.models.types import SearchText
from pamps.models.user import Users
from pamps.models.user_search import found_users, name_prefix
from pamps.pagination import SIZES, Limit, list_response
from pamps.state import request_state

router = APIRouter(prefix="/user", tags=["user"])

# By the size of a page; one row more tells whether there is another page.
FOUND_USERS = {size: Query(found_users(size + 1)) for size in SIZES}


class UserSearchPage(Limit):
    """The page of found users that a request asks for."""

    cursor: Annotated[
        str | None,
        Field(
            pattern="^[a-z0-9_]{1,30}$",
            description="Where the page begins, as in the `Link` header.",
        ),
    ] = None
    q: Annotated[SearchText, Field(description="What the name begins with, or is like.")]


@router.get("/search/", response_model=Users)
async def search_users(
    request: Request, page: Annotated[UserSearchPage, QueryParameters()]
) -> Response:
    """List the users whose names begin with a text, in their order, and then those like it."""
    name = name_prefix(page.q)
    if not name:
        return list_response(request, [], {})
    query = next(query for size, query in FOUND_USERS.items() if size >= page.limit)
    reads = request_state(request.scope).reads
    rows = await query.all(reads, q=name, cursor=page.cursor or "", limit=page.limit)
    names = [row.pop("cursor") for row in rows]
    # There is another page if one more name begins with the text.
    has_next = len(names) > page.limit and names[page.limit] is not None
    positions = {"next": f"cursor={names[page.limit - 1]}"} if has_next else {}
    return list_response(request, rows[: page.limit], positions)
