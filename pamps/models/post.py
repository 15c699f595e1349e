"""Posts and likes: tables, queries, requests, responses."""

from datetime import datetime
from typing import Annotated, Any

from pydantic import BaseModel, Field as Limit
from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Index,
    Text,
    bindparam,
    case,
    exists,
    false,
    insert,
    inspect,
    label,
    literal_column,
    or_,
    text,
    true,
)
from sqlalchemy.orm import aliased
from sqlmodel import Field, SQLModel, col, select, update

from pamps.config import settings
from pamps.models.columns import (
    CURSOR,
    LIMIT,
    VIEWER_ID,
    Statement,
    counter,
    created,
    id_parameter,
    identity,
    insert_or_get,
    reference,
    text_column,
)
from pamps.models.types import VISIBLE_PATTERN, JsonId, examples, storable, visible
from pamps.models.user import NOT_DELETED, Social, User, of_existing, users


class Post(SQLModel, table=True):
    """A post, or with a `parent_id` a reply. The counters change together with what they count.

    `parent_id` is no foreign key: a reply keeps it when the post that it answers is deleted.
    """

    __table_args__ = (
        Index("ix_post_home", text("id"), postgresql_where=text("parent_id IS NULL")),
        Index("ix_post_user", "user_id", "id"),
        Index("ix_post_user_home", "user_id", "id", postgresql_where=text("parent_id IS NULL")),
        Index("ix_post_replies", "parent_id", "id", postgresql_where=text("parent_id IS NOT NULL")),
        CheckConstraint("text <> ''", name="text"),
        CheckConstraint("least(like_count, reply_count) >= 0", name="counts"),
    )

    id: int = identity(primary_key=True)
    text: str = text_column()
    date: datetime = created()
    user_id: int = reference("user.id", caller=True)
    parent_id: int | None = Field(None, sa_type=BigInteger)
    edited_at: datetime | None = None
    like_count: int = counter()
    reply_count: int = counter()


class Like(SQLModel, table=True):
    """`user_id` likes `post_id`. The order of the ids is the order in which it happened."""

    __table_args__ = (
        Index("ix_like_user", "user_id", "id"),
        Index("ix_like_post", "post_id", "id"),
    )

    user_id: int = reference("user.id", caller=True, primary_key=True)
    post_id: int = reference("post.id", primary_key=True)
    id: int = identity()
    date: datetime = created()


POST_ID = id_parameter("post_id")


COLUMNS = inspect(Post).columns
AUTHOR = [label(f"user.{name}", getattr(User, name)) for name in ("id", "username", "avatar")]


def shown(post: Any, author: Any, liked: Any) -> list[Any]:
    """The columns of a PostResponse, in its order."""
    others = {"user": author, "liked": [liked]}
    names = PostResponse.model_fields
    return [column for name in names for column in others.get(name) or [post[name]]]


def posts() -> Statement:
    """Posts with their authors as the user `viewer_id` sees them, null for an anonymous caller."""
    mine = aliased(Like)
    is_liked = select(mine).where(mine.post_id == Post.id, mine.user_id == VIEWER_ID).exists()
    liked = case((VIEWER_ID.is_(None), None), else_=is_liked).label("liked")
    query: Statement = select(*shown(COLUMNS, AUTHOR, liked))
    return query.select_from(Post).join(User, col(User.id) == Post.user_id).where(NOT_DELETED)


def liked_posts(user_id: Any) -> Statement:
    return posts().join(Like, col(Like.post_id) == Post.id).where(Like.user_id == user_id)


def likers(post_id: Any) -> Statement:
    return users().join(Like, col(Like.user_id) == User.id).where(Like.post_id == post_id)


def thread() -> Statement:
    """The post `post_id` and the first of its replies. A reply always has a larger id."""
    answers = select(Post.id).where(Post.parent_id == POST_ID, of_existing(Post.user_id))
    answers = answers.order_by(col(Post.id))
    post = select(Post.id).where(Post.id == POST_ID)
    ids = post.union_all(select(*answers.limit(LIMIT).subquery().c))
    return posts().where(col(Post.id).in_(ids)).order_by(col(Post.id))


def timeline() -> Statement:
    """The newest posts of everyone that `viewer_id` follows, older than the post `cursor`.

    No page has posts of more users than it has posts, so it is made from those users who wrote the
    newest. To find them, one entry of an index is read for each user that is followed, and their
    posts from there: the work grows with who is followed and not with what they wrote.
    """
    of_each = select(Post.id).where(Post.user_id == Social.to_id, col(Post.id) < CURSOR)
    newest = of_each.order_by(col(Post.id).desc()).limit(literal_column("1")).lateral("newest")
    authors = select(Social.to_id).join(newest, true())
    authors = authors.where(Social.from_id == VIEWER_ID, of_existing(Social.to_id))
    busy = authors.order_by(newest.c.id.desc()).limit(LIMIT).subquery("busy")
    theirs = select(Post.id).where(Post.user_id == busy.c.to_id, col(Post.id) < CURSOR)
    page = theirs.order_by(col(Post.id).desc()).limit(LIMIT).lateral("page")
    merged = select(page.c.id).select_from(busy).join(page, true())
    return posts().where(col(Post.id).in_(merged.order_by(page.c.id.desc()).limit(LIMIT)))


def create() -> Statement:
    """Stores a post by `viewer_id` with its `text` and `parent_id`, and gives it as they see it.

    Nothing is stored or counted where that user or parent does not exist.
    """
    # First the author, then the post that is answered: see docs/decisions/0006-counters.md.
    user = select(User.id).where(col(User.id) == VIEWER_ID, NOT_DELETED)
    locked = user.with_for_update(key_share=True).cte("locked")
    parent_id: Any = bindparam("parent_id", type_=BigInteger)
    answered = update(Post).where(col(Post.id) == parent_id, of_existing(Post.user_id))
    answered = answered.where(exists().select_from(locked))
    answered = answered.values(reply_count=Post.reply_count + 1)
    parent = answered.returning(col(Post.id)).cte("parent")
    may = or_(parent_id.is_(None), exists().select_from(parent))
    counted = update(User).where(col(User.id) == VIEWER_ID, NOT_DELETED, may)
    counted = counted.values(post_count=User.post_count + 1)
    author = counted.returning(*AUTHOR).cte("author")
    values = select(bindparam("text", type_=Text), VIEWER_ID, parent_id).select_from(author)
    post = insert(Post).from_select(
        ["text", "user_id", "parent_id"], values, include_defaults=False
    )
    stored = post.returning(*COLUMNS).cte("stored")
    query: Statement = select(*shown(stored.c, list(author.c), false().label("liked")))
    return query.select_from(stored).join(author, true())


def existing_post() -> Statement:
    """The id of the post `post_id`, if it and its author exist."""
    query: Statement = select(Post.id).where(Post.id == POST_ID, of_existing(Post.user_id))
    return query


def like() -> Statement:
    """Makes `viewer_id` like `post_id`; says since when, and whether that is new.

    Gives nothing where one of them does not exist.
    """
    # First the user, then the post: see docs/decisions/0006-counters.md.
    user = select(User.id).where(col(User.id) == VIEWER_ID, NOT_DELETED)
    locked = user.with_for_update(read=True, key_share=True).cte("locked")
    may: Statement = select(locked.c.id).where(existing_post().exists())
    added = insert_or_get(Like, (VIEWER_ID, POST_ID), may)
    counted = update(Post).where(col(Post.id) == added.c.post_id, added.c.created)
    counted = counted.values(like_count=Post.like_count + 1)
    query: Statement = select(*added.c)
    return query.add_cte(counted.cte("counted"))


PostText = Annotated[
    str,
    Limit(
        min_length=1,
        max_length=settings.post.max_length,
        json_schema_extra={"pattern": VISIBLE_PATTERN},
    ),
    visible,
    storable,
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
    """Who wrote a post."""

    id: int
    username: str
    avatar: str | None


class PostResponse(BaseModel):
    """A post. `liked` is null for a caller who has not signed in."""

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

    replies: list[PostResponse]


class LikeResponse(BaseModel):
    """`user_id` likes `post_id` since `date`."""

    user_id: int
    post_id: int
    date: datetime
