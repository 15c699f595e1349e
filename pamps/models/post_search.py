"""Search for posts: query."""

import sqlalchemy as sa
from sqlmodel import col

from pamps.models.columns import CURSOR, LIMIT, AnySelect
from pamps.models.post import SEARCH_VECTOR, Post, posts
from pamps.models.user import user_not_deleted
from pamps.models.visibility import visible_to_viewer

# What a user is looking for.
SEARCHED = sa.bindparam("q", type_=sa.Text)


def found_posts(*, newest_first: bool = True) -> AnySelect:
    """Select the posts that `q` finds, next to the post `cursor`.

    The index is asked for one block of ids after another until the page is full: see
    docs/decisions/0019-search.md.
    """
    words = sa.func.search_words(sa.literal_column("'unaccent'"), SEARCHED)
    blocks = sa.func.search_blocks(words, CURSOR, sa.true() if newest_first else sa.false())
    rows = blocks.table_valued("terms", "start", with_ordinality="number").render_derived()
    # Sorted here, so that sorting what is found ends with the page.
    block = sa.select(*rows.c).order_by(rows.c.number).subquery("block")
    # A sum, because PostgreSQL would otherwise also read the index of the ids.
    key = col(Post.id) + sa.literal_column("0")
    found = sa.select(col(Post.id)).where(SEARCH_VECTOR.op("@@")(block.c.terms))
    found = found.where(key < block.c.start if newest_first else key > block.c.start)
    found = found.where(user_not_deleted(Post.user_id), visible_to_viewer(col(Post.user_id)))
    in_order = sa.desc if newest_first else sa.asc
    in_block = found.order_by(in_order(key)).limit(LIMIT).lateral("in_block")
    ids = sa.select(in_block.c.id).select_from(block).join(in_block, sa.true())
    ids = ids.order_by(block.c.number, in_order(in_block.c.id)).limit(LIMIT)
    return posts().where(col(Post.id).in_(ids))
