"""Posts: table, queries, requests, responses."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated

import sqlalchemy as sa
from pydantic import BaseModel, Field
from sqlalchemy.dialects.postgresql import aggregate_order_by
from sqlmodel import SQLModel, col

from pamps.config import settings
from pamps.models.columns import (
    GIN,
    VIEWER_ID,
    AnySelect,
    Column,
    IdColumn,
    array_column,
    bigint_id,
    counter,
    created_at,
    foreign_key,
    has_row,
    id_parameter,
    identity,
    text_column,
    unless_anonymous,
)
from pamps.models.types import VISIBLE_PATTERN, JsonId, examples, no_nul, visible
from pamps.models.user import NOT_DELETED, User, user_not_deleted
from pamps.models.visibility import has_block, visible_to_viewer

# The words of a post, as they are indexed: see docs/decisions/0019-search.md.
SEARCH_VECTOR: Column = sa.literal_column(
    "search_vector(id, search_words('unaccent'::regdictionary, text))"
)
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
        sa.Index("ix_post_search", SEARCH_VECTOR, **GIN),
        sa.CheckConstraint("text <> ''", name="text"),
        sa.CheckConstraint("least(like_count, reply_count, repost_count) >= 0", name="counts"),
    )

    id: int = identity(primary_key=True)
    text: str = text_column()
    date: datetime = created_at()
    user_id: int = foreign_key("user.id", caller=True)
    parent_id: int | None = bigint_id()
    edited_at: datetime | None = None
    like_count: int = counter()
    reply_count: int = counter()
    repost_count: int = counter()
    # The users and the hashtags that the text names, in its order; null without any.
    mention_ids: list[int] | None = array_column(sa.BigInteger)
    tags: list[str] | None = array_column(sa.Text)


POST_ID = id_parameter("post_id")
PARENT_ID = id_parameter("parent_id")
# The text that a caller has read and that a change of the post overwrites.
OLD_TEXT = sa.bindparam("old_text", type_=sa.Text)

# Literals in JSON.
ID: Column = sa.literal_column("'id'")
USERNAME: Column = sa.literal_column("'username'")
EMPTY: Column = sa.literal_column("'[]'::json")
# The fields that say what the viewer has done with a post, and the tables that know it.
OWN_FIELDS = {"liked": "like", "reposted": "repost", "bookmarked": "bookmark"}
AUTHOR_COLUMNS: list[Column] = [
    getattr(User, name).label(f"user.{name}") for name in ("id", "username", "avatar")
]


def response_columns(
    post: sa.FromClause, author: Sequence[Column], **others: Column
) -> list[Column]:
    """Return the columns of a PostResponse, in its order; `others` are not columns of the post."""
    columns = {name: [column.label(name)] for name, column in others.items()} | {"user": author}
    columns["mentions"], columns["tags"] = [mentions(post)], [tags(post)]
    names = PostResponse.model_fields
    return [column for name in names for column in columns.get(name) or [post.c[name]]]


def tags(post: sa.FromClause) -> Column:
    """Return the hashtags of a post, as an array."""
    return sa.func.coalesce(post.c.tags, sa.literal_column("'{}'")).label("tags")


def mentions(post: sa.FromClause) -> Column:
    """Return the users whom a post mentions, as a JSON array.

    Deleted users are left out, and those who block the author or are blocked by the author.
    """
    user = sa.inspect(User).local_table.alias("mentioned")
    fields = sa.func.json_build_object(ID, user.c.id, USERNAME, user.c.username)
    in_order = aggregate_order_by(fields, sa.func.array_position(post.c.mention_ids, user.c.id))
    users = sa.select(sa.func.json_agg(in_order)).where(user.c.id == sa.any_(post.c.mention_ids))
    users = users.where(~user.c.deleted, ~has_block(post.c.user_id, user.c.id))
    found = sa.func.coalesce(users.correlate_except(user).scalar_subquery(), EMPTY)
    return sa.case((post.c.mention_ids.is_(None), EMPTY), else_=found).label("mentions")


def posts(*, include_muted: bool = False, viewer_id: Column = VIEWER_ID) -> AnySelect:
    """Select posts with their authors, as the user `viewer_id` or an anonymous caller sees them.

    `include_muted` is for what users ask for by themselves, such as one post or a user's posts.
    """
    is_visible = visible_to_viewer(
        col(Post.user_id), viewer_id=viewer_id, include_muted=include_muted
    )
    return all_posts(viewer_id).where(is_visible)


def own_fields(post_id: IdColumn, viewer_id: Column = VIEWER_ID) -> dict[str, Column]:
    """Return what the viewer has done with a post, by the names of the fields of a response."""
    return {
        field: unless_anonymous(has_row(table, user_id=viewer_id, post_id=post_id), viewer_id)
        for field, table in OWN_FIELDS.items()
    }


def all_posts(viewer_id: Column = VIEWER_ID) -> AnySelect:
    """Select posts with their authors, without regard to blocks and mutes."""
    own = own_fields(col(Post.id), viewer_id)
    columns = response_columns(sa.inspect(Post).local_table, AUTHOR_COLUMNS, **own)
    query = sa.select(*columns).select_from(Post).join(User, col(User.id) == Post.user_id)
    return query.where(NOT_DELETED)


def existing_post() -> AnySelect:
    """Select the id of the post `post_id`, if it and its author exist."""
    return sa.select(col(Post.id)).where(col(Post.id) == POST_ID, user_not_deleted(Post.user_id))


def thread(replies: int) -> AnySelect:
    """Select the post `post_id`, and after it so many of its oldest replies."""
    of_post = col(Post.parent_id) == POST_ID
    exists = user_not_deleted(Post.user_id), visible_to_viewer(col(Post.user_id))
    all_replies = sa.select(col(Post.id)).where(of_post, *exists)
    first = all_replies.order_by(col(Post.id)).limit(sa.literal_column(str(replies))).subquery()
    post = sa.select(col(Post.id)).where(col(Post.id) == POST_ID)
    ids = post.union_all(sa.select(*first.c))
    # A reply always has a larger id than its post.
    return posts(include_muted=True).where(col(Post.id).in_(ids)).order_by(col(Post.id))


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


class MentionedUser(BaseModel):
    """A user who is mentioned in a post."""

    id: int
    username: str


class PostResponse(BaseModel):
    """A post. What the caller has done with it is null for an anonymous caller."""

    id: int
    text: str
    date: datetime
    user_id: int
    parent_id: int | None
    edited_at: datetime | None
    user: PostAuthor
    like_count: int
    reply_count: int
    repost_count: int
    liked: bool | None
    reposted: bool | None
    bookmarked: bool | None
    mentions: list[MentionedUser]
    tags: list[str]


Posts = list[PostResponse]


class PostResponseWithReplies(PostResponse):
    """A post and the first page of its replies, oldest first."""

    replies: Posts
