"""Lists: one page of what is ordered by an id, and the link to the next (RFC 8288).

The next page begins behind the last id shown, not after a number of rows: whatever is written
meanwhile, nobody is shown twice or left out, and page 1,000 costs what page 1 does.
"""

from typing import Annotated, Any

from fastapi import HTTPException, Query, Request, Response
from pydantic import BaseModel, Field as Limit
from sqlalchemy import select, true
from sqlmodel import col

from pamps.auth import get_current_user
from pamps.models import columns as base
from pamps.paths import reference
from pamps.responses import conditional_response
from pamps.statements import Statement
from pamps.tokens import Claims


class Owner:
    """Whose a list is, by the `id` that a query gives, and what is said where there is nobody."""

    def __init__(self, query: base.Query, missing: str) -> None:
        self.table = query.subquery("owner")
        self.id = self.table.c.id
        self.missing = missing


class List:
    """A list in the order of `key`, a unique and growing id. It costs one statement.

    The arguments of its `query`, and of its owner's, are those of `Page.answer`.
    """

    def __init__(
        self, query: base.Query, key: Any, *, newest_first: bool = True, owner: Owner | None = None
    ) -> None:
        key = col(key)
        query = query.where(base.is_before(key) if newest_first else base.is_after(key))
        query = query.order_by(key.desc() if newest_first else key).limit(base.LIMIT)
        query = query.add_columns(key.label("cursor"))
        if owner:
            # A row without an item where the list is empty, and none where there is no owner.
            page = query.lateral("page")
            query = select(page).select_from(owner.table.outerjoin(page, true()))
            query = query.order_by(page.c.cursor.desc() if newest_first else page.c.cursor)
        self.owner = owner
        self.statement = Statement(query)


class Page(BaseModel):
    """Which page the caller asks for."""

    limit: Annotated[
        int, Limit(ge=1, le=100, description="The most items that a page has."), base.digits
    ] = 20
    cursor: Annotated[
        base.PositiveId | None, Limit(description="Where the page begins, as `Link` tells it.")
    ] = None

    async def answer(
        self, request: Request, list_: List, claims: Claims | None = None, **values: Any
    ) -> Response:
        """That page of a list, as a caller with those claims sees it.

        Raises HTTPException 401 for claims of a session that has ended, 404 without an owner.
        """
        values["viewer_id"] = claims and (await get_current_user(request, claims)).id
        values["sid"] = claims and claims.sid
        values |= {"cursor": self.cursor, "limit": self.limit + 1}
        items = await list_.statement.fetch(**values)
        if list_.owner and not items:
            raise HTTPException(404, list_.owner.missing)
        cursors = [item.pop("cursor") for item in items]
        if cursors == [None]:
            items = []
        more = len(items) > self.limit
        if not more:
            return conditional_response(request, items)
        cursor = cursors[self.limit - 1]
        query = dict(request.query_params) | {"cursor": cursor}
        return conditional_response(
            request, items[:-1], next_page(reference(request, **query)), cursor
        )


def next_page(address: str) -> dict[str, str]:
    """The header that leads to the next page."""
    return {"Link": f'<{address}>; rel="next"'}


ActivePage = Annotated[Page, Query()]
