"""The timeline: query."""

import sqlalchemy as sa
from sqlmodel import col

from pamps.models.columns import LIMIT, VIEWER_ID, AnySelect, Column, page_of
from pamps.models.follow import Social
from pamps.models.post import Post, posts
from pamps.models.user import user_not_deleted


def timeline(*, newest_first: bool = True) -> AnySelect:
    """Select the posts of everyone that `viewer_id` follows, next to the post `cursor`.

    A page of n posts has at most n authors. So find the n followed authors with the next posts
    (one index read each), then read only their posts.
    """

    def next_posts(author_id: Column, limit: Column) -> AnySelect:
        ids = sa.select(col(Post.id)).where(col(Post.user_id) == author_id)
        return page_of(ids, col(Post.id), newest_first=newest_first, limit=limit)

    in_order = sa.desc if newest_first else sa.asc
    first = next_posts(sa.inspect(Social).columns.to_id, sa.literal_column("1")).lateral("first")
    followed = sa.select(col(Social.to_id)).join(first, sa.true())
    followed = followed.where(col(Social.from_id) == VIEWER_ID, user_not_deleted(Social.to_id))
    authors = followed.order_by(in_order(first.c.id)).limit(LIMIT).subquery("authors")
    page = next_posts(authors.c.to_id, LIMIT).lateral("page")
    ids = sa.select(page.c.id).select_from(authors).join(page, sa.true())
    return posts().where(col(Post.id).in_(ids.order_by(in_order(page.c.id)).limit(LIMIT)))
