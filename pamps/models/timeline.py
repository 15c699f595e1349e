"""The timeline: query."""

import sqlalchemy as sa
from sqlmodel import col

from pamps.models.columns import CURSOR, LIMIT, VIEWER_ID, AnySelect
from pamps.models.follow import Social
from pamps.models.post import Post, posts
from pamps.models.user import user_not_deleted


def timeline() -> AnySelect:
    """Select the newest posts of everyone that `viewer_id` follows, older than the post `cursor`.

    A page of n posts has at most n authors. So find the n followed authors with the newest posts
    (one index read each), then read only their posts.
    """
    older = sa.select(col(Post.id)).where(col(Post.user_id) == Social.to_id, col(Post.id) < CURSOR)
    newest = older.order_by(col(Post.id).desc()).limit(sa.literal_column("1")).lateral("newest")
    followed = sa.select(col(Social.to_id)).join(newest, sa.true())
    followed = followed.where(col(Social.from_id) == VIEWER_ID, user_not_deleted(Social.to_id))
    authors = followed.order_by(newest.c.id.desc()).limit(LIMIT).subquery("authors")
    by_author = col(Post.user_id) == authors.c.to_id
    of_author = sa.select(col(Post.id)).where(by_author, col(Post.id) < CURSOR)
    page = of_author.order_by(col(Post.id).desc()).limit(LIMIT).lateral("page")
    ids = sa.select(page.c.id).select_from(authors).join(page, sa.true())
    return posts().where(col(Post.id).in_(ids.order_by(page.c.id.desc()).limit(LIMIT)))
