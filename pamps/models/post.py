"""Posts and likes: tables, queries, requests, responses."""

from datetime import datetime
from typing import Annotated, Any

from pydantic import BaseModel, Field as Limit
from sqlalchemy import BigInteger, CheckConstraint, Index, func, literal, null, or_, text
from sqlalchemy.orm import Bundle, aliased
from sqlmodel import Field, Session, SQLModel, col, delete, select, update

from pamps.config import settings
from pamps.models.base import (
    JsonId,
    Query,
    counter,
    created,
    identity,
    reference,
    storable,
    text_column,
)
from pamps.models.user import Social, User, users


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
    user_id: int = reference("user.id")
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

    user_id: int = reference("user.id", primary_key=True)
    post_id: int = reference("post.id", primary_key=True)
    id: int = identity()
    date: datetime = created()


def posts(viewer: User | None) -> Query:
    """Posts with their authors as `viewer` sees them."""
    liked: Any = null()
    if viewer:
        mine = aliased(Like)
        liked = select(mine).where(mine.post_id == Post.id, mine.user_id == viewer.id).exists()
    author: Bundle[Any] = Bundle("user", col(User.id), col(User.username), col(User.avatar))
    post: Any = Post
    columns: Any = (*post.__table__.columns, author, liked.label("liked"))
    query: Query = select(*columns)
    return query.select_from(Post).join(User, col(User.id) == Post.user_id)


def liked_posts(user: User, viewer: User | None) -> Query:
    return posts(viewer).join(Like, col(Like.post_id) == Post.id).where(Like.user_id == user.id)


def likers(post: Post) -> Query:
    return users().join(Like, col(Like.user_id) == User.id).where(Like.post_id == post.id)


def timeline(user: User, before: int | None, limit: int) -> Query:
    """The newest posts of everyone that `user` follows, older than the post `before`.

    For each of them the newest ids are read from an index and merged, so that the work grows with
    the number of followed users and not with what they wrote.
    """
    newest = select(Post.id).where(Post.user_id == Social.to_id)
    if before is not None:
        newest = newest.where(col(Post.id) < before)
    each = newest.order_by(col(Post.id).desc()).limit(limit).lateral()
    followed = select(each.c.id).select_from(Social).join(each, literal(True))
    merged = followed.where(Social.from_id == user.id).order_by(each.c.id.desc()).limit(limit)
    return posts(user).where(col(Post.id).in_(merged))


def delete_account(session: Session, user_id: int) -> bool:
    """Deletes a user with all that is theirs, and takes it out of everybody else's counters.

    Says whether there still was such a user.
    """
    idols = select(Social.to_id).where(Social.from_id == user_id)
    fans = select(Social.from_id).where(Social.to_id == user_id)
    liked = select(Like.post_id).where(Like.user_id == user_id)
    answered = select(Post.parent_id, func.count().label("replies")).where(Post.user_id == user_id)
    gone = answered.group_by(col(Post.parent_id)).subquery()
    # First all locks, in the order that everybody keeps: see docs/decisions/0006-counters.md.
    people = or_(col(User.id) == user_id, col(User.id).in_(idols), col(User.id).in_(fans))
    locked = select(User.id).where(people).order_by(col(User.id)).with_for_update()
    there = user_id in session.exec(locked).all()
    counted = or_(col(Post.id).in_(liked), col(Post.id).in_(select(gone.c.parent_id)))
    rows = select(Post.id).where(counted).order_by(col(Post.id).desc())
    session.exec(rows.with_for_update(key_share=True)).all()
    replies = Post.reply_count - gone.c.replies
    for change in (
        update(User).where(col(User.id).in_(idols)).values(follower_count=User.follower_count - 1),
        update(User).where(col(User.id).in_(fans)).values(following_count=User.following_count - 1),
        update(Post).where(col(Post.id).in_(liked)).values(like_count=Post.like_count - 1),
        update(Post).where(col(Post.id) == gone.c.parent_id).values(reply_count=replies),
        delete(User).where(col(User.id) == user_id),
    ):
        session.exec(change.execution_options(synchronize_session=False))
    return there


PostText = Annotated[str, Limit(min_length=1, max_length=settings.post.max_length), storable]


class PostPatch(BaseModel):
    """The new text of a post."""

    text: PostText


class PostRequest(PostPatch):
    """A new post, or with a `parent_id` a reply."""

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


class PostResponseWithReplies(PostResponse):
    """A post and the first page of its replies, oldest first."""

    replies: list[PostResponse]


class LikeResponse(BaseModel):
    """`user_id` likes `post_id` since `date`."""

    user_id: int
    post_id: int
    date: datetime
