"""Search for posts: query."""

import sqlalchemy as sa
from sqlmodel import col

from pamps.models.columns import CURSOR, LIMIT, AnySelect, Column
from pamps.models.post import SEARCH_VECTOR, Post, posts
from pamps.models.user import user_not_deleted
from pamps.models.visibility import visible_to_viewer

# What a user is looking for.
SEARCHED = sa.bindparam("q", type_=sa.Text)
ZERO: sa.ColumnElement[int] = sa.literal_column("0", sa.BigInteger)
# The words of the post `candidate`, and where they are.
WORDS: Column = sa.literal_column(
    "to_tsvector('simple', translate(search_words('unaccent', candidate.text), '\"-', '  '))"
)


def found_posts(*, newest_first: bool = True) -> AnySelect:
    """Select the posts that `q` finds, next to the post `cursor`.

    The index is asked for one block of ids after another until the page is full: see
    docs/decisions/0019-search.md.
    """
    in_order = sa.desc if newest_first else sa.asc
    words = sa.func.search_words(sa.literal_column("'unaccent'"), SEARCHED)
    blocks = sa.func.search_blocks(words, CURSOR, sa.true() if newest_first else sa.false())
    rows = blocks.table_valued("candidates", "phrases", "start", with_ordinality="number")
    # Sorted here, so that sorting what is found ends with the page.
    rows = rows.render_derived()
    block = sa.select(*rows.c).order_by(rows.c.number).subquery("block")
    # A sum, because PostgreSQL would otherwise also read the index of the ids.
    key = col(Post.id) + ZERO
    found = sa.select(key.label("id"), col(Post.text))
    found = found.where(SEARCH_VECTOR.op("@@")(block.c.candidates))
    found = found.where(key < block.c.start if newest_first else key > block.c.start)
    found = found.where(user_not_deleted(Post.user_id), visible_to_viewer(col(Post.user_id)))
    # With an OFFSET they are compared with phrases in this order, and no more of them than needed.
    found = found.order_by(in_order(key)).offset(ZERO).correlate(block)
    candidate = found.lateral("candidate")
    has_phrases = block.c.phrases.is_(None) | WORDS.op("@@")(block.c.phrases)
    first = sa.select(candidate.c.id).where(has_phrases).correlate(block)
    in_block = first.order_by(in_order(candidate.c.id)).limit(LIMIT).lateral("in_block")
    ids = sa.select(in_block.c.id).select_from(block).join(in_block, sa.true())
    ids = ids.order_by(block.c.number, in_order(in_block.c.id)).limit(LIMIT)
    return posts().where(col(Post.id).in_(ids))
