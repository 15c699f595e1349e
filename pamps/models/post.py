"""Posts: table, queries, requests, responses."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated

import sqlalchemy as sa
from pydantic import BaseModel, Field
from sqlmodel import SQLModel, col

from pamps.config import settings
from pamps.models.columns import (
    CURSOR,
    LIMIT,
    VIEWER_ID,
    AnySelect,
    Column,
    bigint_id,
    counter,
    created_at,
    foreign_key,
    id_parameter,
    identity,
    insert_or_get,
    text_column,
)
from pamps.models.follow import Social
from pamps.models.types import VISIBLE_PATTERN, JsonId, examples, no_nul, visible
from pamps.models.user import IS_VIEWER, NOT_DELETED, User, user_not_deleted

REPLY, NO_REPLY = sa.text("parent_id IS NOT NULL"), sa.text("parent_id IS NULL")


class Post(SQLModel, table=True):
    """A post, or a reply to the post `parent_id`. That post may have been deleted.

    The counters change in the same transaction as what they count.
    """

    __table_args__ = (
        sa.Index("ix_post_home", sa.text("id"), postgresql_where=NO_REPLY),
        sa.Index("ix_post_user", "user_id", "id"),
        sa.Index("ix_post_user_home", "user_id", "id", postgresql_where=NO_REPLY),
        sa.Index("ix_post_replies", "parent_id", "id", postgresql_where=REPLY),
        sa.CheckConstraint("text <> ''", name="text"),
        sa.CheckConstraint("least(like_count, reply_count) >= 0", name="counts"),
    )

    id: int = identity(primary_key=True)
    text: str = text_column()
    date: datetime = created_at()
    user_id: int = foreign_key("user.id", caller=True)
    parent_id: int | None = bigint_id()
    edited_at: datetime | None = None
    like_count: int = counter()
    reply_count: int = counter()


POST_ID = id_parameter("post_id")
PARENT_ID = id_parameter("parent_id")
# The text that a caller has read and that a change of the post overwrites.
OLD_TEXT = sa.bindparam("old_text", type_=sa.Text)

AUTHOR_COLUMNS: list[Column] = [
    getattr(User, name).label(f"user.{name}") for name in ("id", "username", "avatar")
]


def response_columns(post: sa.FromClause, author: Sequence[Column], liked: Column) -> list[Column]:
    """Return the columns of a PostResponse, in its order."""
    others = {"user": author, "liked": [liked]}
    names = PostResponse.model_fields
    return [column for name in names for column in others.get(name) or [post.c[name]]]


def viewer_has(table: str) -> Column:
    """Whether `viewer_id` has a row for the post in a table such as "like"; null if anonymous."""
    # The table is found by its name, as in a foreign key: its module imports this one.
    own = SQLModel.metadata.tables[table].alias("own")
    # No EXISTS: for a viewer whom it does not know, PostgreSQL would read all of their rows first.
    found = sa.select(sa.true()).where(own.c.post_id == Post.id, own.c.user_id == VIEWER_ID)
    has = sa.func.coalesce(found.scalar_subquery(), sa.false())
    return sa.case((VIEWER_ID.is_(None), None), else_=has)


def posts() -> AnySelect:
    """Select posts with their authors, as the user `viewer_id` or an anonymous caller sees them."""
    liked = viewer_has("like").label("liked")
    columns = response_columns(sa.inspect(Post).local_table, AUTHOR_COLUMNS, liked)
    query = sa.select(*columns).select_from(Post).join(User, col(User.id) == Post.user_id)
    return query.where(NOT_DELETED)


def existing_post() -> AnySelect:
    """Select the id of the post `post_id`, if it and its author exist."""
    return sa.select(col(Post.id)).where(col(Post.id) == POST_ID, user_not_deleted(Post.user_id))


def insert_for_post(table: type[SQLModel]) -> sa.CTE:
    """Insert the row of `viewer_id` for `post_id`, such as a like; see `insert_or_get`.

    Nothing is inserted or returned if that user or that post does not exist.
    """
    # The user is locked first: see docs/decisions/0006-counters.md.
    user = sa.select(col(User.id)).where(IS_VIEWER)
    locked = user.with_for_update(read=True, key_share=True).cte("locked")
    allowed = sa.select(locked.c.id).where(existing_post().exists())
    return insert_or_get(table, (VIEWER_ID, POST_ID), allowed)


def thread(replies: int) -> AnySelect:
    """Select the post `post_id`, and after it so many of its oldest replies."""
    of_post = col(Post.parent_id) == POST_ID
    all_replies = sa.select(col(Post.id)).where(of_post, user_not_deleted(Post.user_id))
    first = all_replies.order_by(col(Post.id)).limit(sa.literal_column(str(replies))).subquery()
    post = sa.select(col(Post.id)).where(col(Post.id) == POST_ID)
    ids = post.union_all(sa.select(*first.c))
    # A reply always has a larger id than its post.
    return posts().where(col(Post.id).in_(ids)).order_by(col(Post.id))


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


def insert_post() -> AnySelect:
    """Insert a post by `viewer_id` with its `text` and `parent_id`, and return it as they see it.

    Nothing is inserted or counted if that user or that parent does not exist.
    """
    # First the author, then the parent: see docs/decisions/0006-counters.md.
    user = sa.select(col(User.id)).where(IS_VIEWER)
    locked = user.with_for_update(key_share=True).cte("locked")
    replied = sa.update(Post).where(col(Post.id) == PARENT_ID, user_not_deleted(Post.user_id))
    replied = replied.where(sa.exists().select_from(locked))
    replied = replied.values(reply_count=Post.reply_count + 1)
    parent = replied.returning(col(Post.id)).cte("parent")
    allowed = sa.or_(PARENT_ID.is_(None), sa.exists().select_from(parent))
    counted = sa.update(User).where(IS_VIEWER, allowed)
    counted = counted.values(post_count=User.post_count + 1)
    author = counted.returning(*AUTHOR_COLUMNS).cte("author")
    text = sa.bindparam("text", type_=sa.Text)
    values = sa.select(text, VIEWER_ID, PARENT_ID).select_from(author)
    names = ["text", "user_id", "parent_id"]
    post = sa.insert(Post).from_select(names, values, include_defaults=False)
    stored = post.returning(*sa.inspect(Post).columns).cte("stored")
    columns = response_columns(stored, list(author.c), sa.false().label("liked"))
    return sa.select(*columns).select_from(stored).join(author, sa.true())


def update_text() -> sa.Update:
    """Replace the text of the post `post_id`, if it is still `old_text`, by `new_text`."""
    changed = sa.update(Post).where(col(Post.id) == POST_ID, col(Post.text) == OLD_TEXT)
    changed = changed.values(text=sa.bindparam("new_text", type_=sa.Text), edited_at=sa.func.now())
    return changed.returning(col(Post.text), col(Post.edited_at))


def delete_or_move_post(removal: sa.Delete | sa.Update) -> AnySelect:
    """Apply a removal to the post `post_id`, if its text is still `old_text`, and return its id.

    The post no longer counts for its author, or as a reply to its parent.
    """
    before = sa.select(col(Post.user_id), col(Post.parent_id)).where(col(Post.id) == POST_ID)
    post = before.cte("post_before")
    # First the author, then the post, then its parent: see docs/decisions/0006-counters.md.
    user = sa.select(col(User.id)).where(col(User.id) == post.c.user_id, NOT_DELETED)
    author = user.with_for_update(key_share=True).cte("author")
    removal = removal.where(col(Post.id) == POST_ID, col(Post.text) == OLD_TEXT)
    removal = removal.where(col(Post.user_id) == author.c.id)
    removed = removal.returning(col(Post.id)).cte("removed")
    written = sa.update(User).where(col(User.id) == author.c.id, removed.c.id == POST_ID)
    written = written.values(post_count=sa.func.greatest(User.post_count - 1, 0))
    replied = sa.update(Post).where(col(Post.id) == post.c.parent_id, removed.c.id == POST_ID)
    replied = replied.values(reply_count=sa.func.greatest(Post.reply_count - 1, 0))
    return sa.select(removed.c.id).add_cte(written.cte("written"), replied.cte("replied"))


PostText = Annotated[
    str,
    Field(
        min_length=1,
        max_length=settings.post.max_length,
        json_schema_extra={"pattern": VISIBLE_PATTERN},
    ),
    visible,
    no_nul,
]


class PostPatch(BaseModel):
    """The new text of a post."""

    model_config = examples(text="Hello again, Pamps!")

    text: PostText


class PostRequest(PostPatch):
    """A new post, or with a `parent_id` a reply."""

    model_config = examples(text="Hello, Pamps!")

    parent_id: JsonId | None = None


class PostAuthor(BaseModel):
    """The user who wrote a post."""

    id: int
    username: str
    avatar: str | None


class PostResponse(BaseModel):
    """A post. `liked` is null for an anonymous caller."""

    id: int
    text: str
    date: datetime
    user_id: int
    parent_id: int | None
    edited_at: datetime | None
    user: PostAuthor
    like_count: int
    reply_count: int
    liked: bool | None


Posts = list[PostResponse]


class PostResponseWithReplies(PostResponse):
    """A post and the first page of its replies, oldest first."""

    replies: Posts
