"""Search for posts: query."""

import sqlalchemy as sa
from sqlmodel import col

from pamps.models.columns import CURSOR, LIMIT, AnySelect, Column
from pamps.models.post import SEARCH_VECTOR, Post, posts
from pamps.models.user import user_not_deleted
from pamps.models.visibility import visible_to_viewer

# What a user is looking for.
SEARCHED = sa.bindparam("q", type_=sa.Text)
# A page compares so many posts with phrases, which takes about 30 ms.
MAX_COMPARED: sa.ColumnElement[int] = sa.literal_column("1000", sa.BigInteger)
ZERO: sa.ColumnElement[int] = sa.literal_column("0", sa.BigInteger)
# The words of the post `candidate`, and where they are.
WORDS: Column = sa.literal_column(
    "to_tsvector('simple', translate(search_words('unaccent', candidate.text), '\"-', '  '))"
)


def found_posts(*, newest_first: bool = True) -> AnySelect:
    """Select the posts that `q` finds, next to the post `cursor`.

    The index is asked for one block of ids after another until the page is full: see
    docs/decisions/0019-search.md. If too many posts have the words of a phrase, but not in its
    order, the page ends early with a row that is not `found`.
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
    found = found.order_by(in_order(key)).limit(MAX_COMPARED)
    in_block = found.correlate(block).lateral("in_block")
    posts_in_turn = sa.select(in_block, block.c.phrases, block.c.number)
    posts_in_turn = posts_in_turn.join_from(block, in_block, sa.true())
    posts_in_turn = posts_in_turn.order_by(block.c.number, in_order(in_block.c.id))
    candidate = posts_in_turn.limit(MAX_COMPARED).cte("candidate")
    has_phrases = candidate.c.phrases.is_(None) | WORDS.op("@@")(candidate.c.phrases)
    matched = sa.select(candidate.c.id, sa.true().label("found")).where(has_phrases)
    matched = matched.order_by(candidate.c.number, in_order(candidate.c.id)).limit(LIMIT)
    page = matched.cte("page")
    # If there is more to compare, but not in this page.
    is_short = sa.select(sa.func.count()).select_from(page).scalar_subquery() < LIMIT
    end = sa.func.min(candidate.c.id) if newest_first else sa.func.max(candidate.c.id)
    last = sa.select(end.label("id"), sa.false().label("found")).where(is_short)
    last = last.having(sa.func.count() == MAX_COMPARED)
    shown = sa.select(page).union_all(last).subquery("shown")
    return posts().join(shown, shown.c.id == Post.id).add_columns(shown.c.found)
