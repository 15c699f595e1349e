"""Cursor pagination: pages of lists that are ordered by an id, with a `Link` header (RFC 8288).

The cursor is the id of the last item of a page, and the next page begins behind that item. So
an item that exists throughout is listed exactly once, whatever is written meanwhile, and page 1,000
costs as much as page 1. The previous page of a list with the newest first ends before the first
item of a page; it is read in the other direction.
"""

from collections.abc import Callable, Mapping
from typing import Annotated, cast
from urllib.parse import urlencode

from fastapi import HTTPException, Query as QueryParameters, Request, Response
from pydantic import BaseModel, Field, ValidationInfo, WithJsonSchema, field_validator
from pydantic_core import PydanticCustomError
from sqlalchemy import ColumnElement, literal_column, select, true
from sqlalchemy.sql.visitors import ExternallyTraversible, replacement_traverse

from pamps.db import Query, Row
from pamps.models.columns import LIMIT, VIEWER_ID, AnySelect, IdColumn, page_of
from pamps.models.types import BIGINT, Id, PositiveId, digits
from pamps.paths import reference
from pamps.replica_reader import ReplicaReader
from pamps.responses import conditional_response
from pamps.state import request_state

# By the relation to another page, "next" or "prev": where it begins, as a query of an address.
Positions = dict[str, str]

POSITION_NAMES = "cursor", "newer_than"

DEFAULT_LIMIT, MAX_LIMIT = 20, 100
# A page is made from the smallest of these that it fits into.
SIZES = 5, DEFAULT_LIMIT, 50, MAX_LIMIT


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
    models/columns.py are given by the page. A statement that uses them itself comes with another
    for previous pages, `newer`. A row whose column `found` is false is not an item, but says where
    the page ends if the statement did not look further.
    """

    def __init__(
        self,
        statement: AnySelect,
        key: IdColumn,
        *,
        newest_first: bool = True,
        parent: Parent | None = None,
        newer: AnySelect | None = None,
    ) -> None:
        self.newest_first = newest_first
        self.parent = parent
        self._key = key
        self._start = 2**63 - 1 if newest_first else 0
        others = statement if newer is None else newer
        self._statements = {newest_first: statement, not newest_first: others}
        self._queries: dict[tuple[bool, bool, int], Query] = {}

    async def rows(
        self,
        limit: int,
        cursor: int | None,
        newer_than: int | None,
        parameters: Mapping[str, object],
        reads: ReplicaReader | None,
    ) -> tuple[list[Row], Positions]:
        """Return the rows of a page, and the positions of the next and the previous page.

        Raises HTTPException 404 if there is no parent.
        """
        start = next(id for id in (newer_than, cursor, self._start) if id is not None)
        values = {**parameters, "cursor": start}
        is_anonymous = values.get("viewer_id", 0) is None
        if is_anonymous:
            del values["viewer_id"]
        newest_first = self.newest_first and newer_than is None
        size = next(size for size in SIZES if size >= limit)
        rows = await self._query(newest_first, is_anonymous, size).all(reads, **values)
        if self.parent and not rows:
            raise self.parent.not_found()
        # Where the page ends, if the query stopped there before the page was full.
        end = next((row["cursor"] for row in rows if row.get("found") is False), None)
        rows = [row for row in rows if row["cursor"] is not None and row.pop("found", True)]
        is_full = len(rows) > limit
        del rows[limit:]
        if newer_than is not None:
            rows.reverse()
        keys = [row.pop("cursor") for row in rows]
        last = keys[-1] if is_full else end
        newest = keys[0] if keys else newer_than or 0
        if newer_than is not None:
            # The page is next to an item that is older, unless that was deleted meanwhile.
            last = keys[-1] if keys and newer_than else None
            newest = newest if is_full or end is None else end
        positions: Positions = {}
        if last is not None:
            positions["next"] = f"cursor={last}"
        if self.newest_first:
            positions["prev"] = f"newer_than={newest}"
        return rows, positions

    def _statement(self, newest_first: bool) -> AnySelect:
        """Return the statement for a page in that direction."""
        statement = page_of(self._statements[newest_first], self._key, newest_first=newest_first)
        statement = statement.add_columns(self._key.label("cursor"))
        if self.parent is None:
            return statement
        # An empty list gives one row of nulls; a missing parent gives no row.
        page = statement.lateral("page")
        statement = select(page).select_from(self.parent.table.outerjoin(page, true()))
        return statement.order_by(page.c.cursor.desc() if newest_first else page.c.cursor)

    def _query(self, newest_first: bool, is_anonymous: bool, size: int) -> Query:
        """Return the query for a page of that size, and one row more if there is another page.

        PostgreSQL uses one plan for all values only if its estimated cost is no higher than that of
        a plan for known values. Literals keep that estimate low: a limit that it does not know, it
        takes for a tenth of the table.
        """
        key = newest_first, is_anonymous, size
        if key not in self._queries:
            literals: dict[ExternallyTraversible, ColumnElement[int]] = {}
            literals[LIMIT] = literal_column(str(size + 1))
            if is_anonymous:
                literals[VIEWER_ID] = literal_column("NULL::bigint")

            def replace(element: ExternallyTraversible, **_: object) -> ColumnElement[int] | None:
                return literals.get(element)

            replaced = replacement_traverse(self._statement(newest_first), {}, replace)
            self._queries[key] = Query(cast(AnySelect, replaced))
        return self._queries[key]


class Limit(BaseModel):
    """How many items a request asks for, of a list that has no further pages."""

    limit: Annotated[
        int, Field(ge=1, le=MAX_LIMIT, description="The most items that a page has."), digits
    ] = DEFAULT_LIMIT


class Page(Limit):
    """The page of a list that a request asks for."""

    cursor: Annotated[
        PositiveId | None, Field(description="Where the page begins, as in the `Link` header.")
    ] = None

    async def response(
        self, request: Request, query: PaginatedQuery, /, **parameters: object
    ) -> Response:
        """Respond with this page of a list. Raises HTTPException 404 if it has no parent."""
        newer_than = self.newer_than if isinstance(self, NewestFirstPage) else None
        reads = request_state(request.scope).reads
        page = await query.rows(self.limit, self.cursor, newer_than, parameters, reads)
        return list_response(request, *page)


class NewestFirstPage(Page):
    """The page that a request asks for of a list with the newest first."""

    newer_than: Annotated[
        Id | None,
        Field(ge=0, description="What the page is newer than, as in the `Link` header."),
        WithJsonSchema(BIGINT | {"minimum": 0}),
    ] = None

    @field_validator("newer_than")
    @classmethod
    def _check_position(cls, value: int | None, info: ValidationInfo) -> int | None:
        if value is not None and info.data.get("cursor") is not None:
            raise PydanticCustomError("newer_than", "Give either cursor or newer_than, not both")
        return value


def list_response(request: Request, rows: list[Row], positions: Positions) -> Response:
    """Respond with a page of a list, and refer to the pages at these positions."""
    asked = [item for item in request.query_params.items() if item[0] not in POSITION_NAMES]
    address = f"{reference(request)}?{urlencode(asked)}{'&' if asked else ''}"
    return conditional_response(request, rows, link_header(address, positions), positions)


def link_header(address: str, positions: Positions) -> dict[str, str]:
    """Return the header `Link` that refers to these pages of the list at an address, if any."""
    links = [f'<{address}{query}>; rel="{relation}"' for relation, query in positions.items()]
    return {"Link": ", ".join(links)} if links else {}


# Of a list with the newest first, and of one with the oldest first.
ActivePage = Annotated[NewestFirstPage, QueryParameters()]
OldestFirstPage = Annotated[Page, QueryParameters()]
ActiveLimit = Annotated[Limit, QueryParameters()]
