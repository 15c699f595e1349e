"""Cursor pagination: pages of lists that are ordered by an id, with a `Link` header (RFC 8288).

The cursor is the id of the last item of a page, and the next page begins behind that item. So
an item that exists throughout is listed exactly once, whatever is written meanwhile, and page 1,000
costs as much as page 1.
"""

from collections.abc import Callable, Mapping
from typing import Annotated, cast

from fastapi import HTTPException, Query as QueryParameters, Request, Response
from pydantic import BaseModel, Field
from sqlalchemy import ColumnElement, literal_column, select, true
from sqlalchemy.orm import Mapped
from sqlalchemy.sql.visitors import ExternallyTraversible, replacement_traverse

from pamps.db import Query, Row
from pamps.models.columns import CURSOR, LIMIT, VIEWER_ID, AnySelect
from pamps.models.types import PositiveId, digits
from pamps.paths import reference
from pamps.responses import conditional_response

DEFAULT_LIMIT = 20
# A page is made from the smallest of these that it fits into.
SIZES = 5, DEFAULT_LIMIT, 50, 100


class Parent:
    """The row that a list belongs to, such as the user in a list of a user's followers.

    `statement` selects its `id`. `not_found` makes the 404 where there is no such row.
    """

    def __init__(self, statement: AnySelect, not_found: Callable[[], HTTPException]) -> None:
        self.table = statement.subquery("parent")
        self.id: ColumnElement[int] = self.table.c.id
        self.not_found = not_found


class PaginatedQuery:
    """A query for one page of a list, in the order of `key`, which is a unique and growing id.

    The parameters are those of the statement and of its parent; `CURSOR` and `LIMIT` of
    models/columns.py are given by the page, and the statement may use them too.
    """

    def __init__(
        self,
        statement: AnySelect,
        key: Mapped[int],
        *,
        newest_first: bool = True,
        parent: Parent | None = None,
    ) -> None:
        statement = statement.where(key < CURSOR if newest_first else key > CURSOR)
        statement = statement.order_by(key.desc() if newest_first else key).limit(LIMIT)
        statement = statement.add_columns(key.label("cursor"))
        if parent:
            # An empty list gives one row of nulls; a missing parent gives no row.
            page = statement.lateral("page")
            statement = select(page).select_from(parent.table.outerjoin(page, true()))
            statement = statement.order_by(page.c.cursor.desc() if newest_first else page.c.cursor)
        self.parent = parent
        self._start = 2**63 - 1 if newest_first else 0
        self.statement = statement
        self._queries: dict[tuple[bool, int], Query] = {}

    async def rows(
        self, limit: int, cursor: int | None, parameters: Mapping[str, object]
    ) -> tuple[list[Row], int | None]:
        """Return the rows of a page, and the cursor of the next page if there is one.

        Raises HTTPException 404 if there is no parent.
        """
        values = {**parameters, "cursor": self._start if cursor is None else cursor}
        is_anonymous = values.get("viewer_id", 0) is None
        if is_anonymous:
            del values["viewer_id"]
        size = next(size for size in SIZES if size >= limit)
        rows = await self._query(is_anonymous, size).all(**values)
        if self.parent and not rows:
            raise self.parent.not_found()
        cursors = [row.pop("cursor") for row in rows]
        if cursors == [None]:
            return [], None
        return rows[:limit], cursors[limit - 1] if len(rows) > limit else None

    def _query(self, is_anonymous: bool, size: int) -> Query:
        """Return the query for a page of that size, and one row more if there is another page.

        PostgreSQL uses one plan for all values only if its estimated cost is no higher than that of
        a plan for known values. Literals keep that estimate low: a limit that it does not know, it
        takes for a tenth of the table.
        """
        key = is_anonymous, size
        if key not in self._queries:
            literals: dict[ExternallyTraversible, ColumnElement[int]] = {}
            literals[LIMIT] = literal_column(str(size + 1))
            if is_anonymous:
                literals[VIEWER_ID] = literal_column("NULL::bigint")

            def replace(element: ExternallyTraversible, **_: object) -> ColumnElement[int] | None:
                return literals.get(element)

            replaced = replacement_traverse(self.statement, {}, replace)
            self._queries[key] = Query(cast(AnySelect, replaced))
        return self._queries[key]


class Page(BaseModel):
    """The page of a list that a request asks for."""

    limit: Annotated[
        int, Field(ge=1, le=100, description="The most items that a page has."), digits
    ] = DEFAULT_LIMIT
    cursor: Annotated[
        PositiveId | None, Field(description="Where the page begins, as in the `Link` header.")
    ] = None

    async def response(
        self, request: Request, query: PaginatedQuery, /, **parameters: object
    ) -> Response:
        """Respond with this page of a list. Raises HTTPException 404 if it has no parent."""
        rows, cursor = await query.rows(self.limit, self.cursor, parameters)
        link = None
        if cursor is not None:
            address = reference(request, query={**request.query_params, "cursor": cursor})
            link = next_page(address)
        return conditional_response(request, rows, link, cursor)


def next_page(address: str) -> dict[str, str]:
    """Return the header that refers to the next page."""
    return {"Link": f'<{address}>; rel="next"'}


ActivePage = Annotated[Page, QueryParameters()]
