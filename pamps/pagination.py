"""One page of a list that is ordered by an id, and the link to the next (RFC 8288).

The next page begins behind the last id shown, not after a number of rows: whatever is written
meanwhile, nobody is shown twice or left out, and page 1,000 costs what page 1 does.
"""

from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Depends, Query, Request, Response
from sqlmodel import Session, col

from pamps.models import base

PageSize = Annotated[
    int, Query(ge=1, le=100, description="The most items that a page has."), base.digits
]
Cursor = Annotated[
    base.PositiveId | None,
    Query(description="Where the page begins, as `Link` tells it."),
]


@dataclass
class Page:
    """Which page the caller asks for."""

    request: Request
    response: Response
    limit: PageSize = 20
    cursor: Cursor = None

    def read(
        self,
        session: Session,
        query: base.Query,
        key: Any,
        *,
        newest_first: bool = True,
        route: str | None = None,
    ) -> list[Any]:
        """The rows of `query` in the order of `key`, a unique and growing id.

        `route` names the route that has the following pages, if it is not the one that was called.
        """
        key = col(key)
        if self.cursor is not None:
            query = query.where(key < self.cursor if newest_first else key > self.cursor)
        query = query.order_by(key.desc() if newest_first else key).limit(self.limit + 1)
        with_key: Any = query.add_columns(key.label("cursor"))
        rows = list(session.exec(with_key))
        if len(rows) > self.limit:
            url = self.request.url
            if route:
                url = self.request.url_for(route, **self.request.path_params)
            url = url.include_query_params(cursor=rows[self.limit - 1].cursor)
            self.response.headers["Link"] = f'<{url}>; rel="next"'
        return rows[: self.limit]


ActivePage = Annotated[Page, Depends()]
