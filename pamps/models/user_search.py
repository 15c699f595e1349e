"""Search for users: query."""

import re
import unicodedata

import sqlalchemy as sa
from sqlmodel import col

from pamps.models.columns import LIMIT, AnySelect, Column
from pamps.models.types import fold_case
from pamps.models.user import User, fold_case_sql, users

# The name that a user is looking for, a result of `name_prefix`.
SEARCHED = sa.bindparam("q", type_=sa.Text)
# How similar a name has to be: the part of the trigrams of both that they share.
THRESHOLD: list[Column] = [
    sa.literal_column(text) for text in ("'pg_trgm.similarity_threshold'", "'0.5'")
]
ONE: Column = sa.literal_column("1::real")
NO_NAME: Column = sa.literal_column('NULL::text COLLATE "C"')
# The last name of the page before, or less than any name.
NAME_CURSOR = sa.bindparam("cursor", type_=sa.Text)
FOLDED_NAME = fold_case_sql(col(User.username))


def name_prefix(q: str) -> str:
    """Return the letters of a name that are meant: "João S." and "@joao_s" are "joao_s"."""
    plain = unicodedata.normalize("NFKD", q).encode("ascii", "ignore").decode()
    return fold_case(re.sub(r"\W+", "_", re.sub(r"^\W+|\W+$", "", plain)))


def found_users(size: int) -> AnySelect:
    """Select users whose names begin with `q`, in the order of the names, after the name `cursor`.

    `cursor` is also the name in each row, and null for users whose names are only like `q`. They
    follow, the most similar first, if those before are fewer than `limit`. In all these are at most
    `size` rows.
    """
    length = sa.literal_column(str(size), sa.BigInteger)
    # "~" comes after all letters of names. No LIKE, which PostgreSQL plans for a known text only.
    begins = FOLDED_NAME.between(SEARCHED, SEARCHED.concat(sa.literal_column("'~'")))
    named = users().add_columns(FOLDED_NAME.label("cursor"), ONE.label("similarity"))
    named = named.where(begins, NAME_CURSOR < FOLDED_NAME)
    first = named.order_by(FOLDED_NAME).limit(length).cte("first")
    # The operator finds in the index what is similar enough. How similar that is, is a setting, and
    # this subquery sets it for the statement before the index is read.
    is_set = sa.func.set_config(*THRESHOLD, sa.true())
    name = sa.select(sa.case((is_set.is_not(None), SEARCHED))).scalar_subquery()
    similarity = sa.func.similarity(FOLDED_NAME, SEARCHED).label("similarity")
    is_room = sa.select(sa.func.count()).select_from(first).scalar_subquery() < LIMIT
    similar = users().add_columns(NO_NAME.label("cursor"), similarity)
    similar = similar.where(is_room, FOLDED_NAME.op("%")(name), ~begins)
    similar = similar.order_by(similarity.desc(), FOLDED_NAME).limit(length)
    found = sa.union_all(sa.select(first), similar.subquery().select()).subquery("found")
    in_order = found.c.cursor, found.c.similarity.desc(), fold_case_sql(found.c.username)
    columns = [column for column in found.c if column.name != "similarity"]
    return sa.select(*columns).order_by(*in_order).limit(length)
