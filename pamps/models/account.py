"""What a user leaves behind: an account deleted with all that is theirs, out of all counters."""

from typing import Any

from sqlalchemy import func, or_
from sqlmodel import Session, col, delete, select, update

from pamps.models.post import Like, Post
from pamps.models.user import Social, User


def _around(user_id: int) -> tuple[Any, Any, Any, Any]:
    """Whom a user follows, who follows them, what they like, and what they replied how often to."""
    idols = select(Social.to_id).where(Social.from_id == user_id)
    fans = select(Social.from_id).where(Social.to_id == user_id)
    liked = select(Like.post_id).where(Like.user_id == user_id)
    answered = select(Post.parent_id, func.count().label("replies")).where(Post.user_id == user_id)
    return idols, fans, liked, answered.group_by(col(Post.parent_id)).subquery()


def lock_account(session: Session, user_id: int) -> bool:
    """Locks a user and all that counts what is theirs; says whether there is such a user."""
    # In the order that everybody keeps: see docs/decisions/0006-counters.md.
    idols, fans, liked, gone = _around(user_id)
    people = or_(col(User.id) == user_id, col(User.id).in_(idols), col(User.id).in_(fans))
    locked = select(User.id).where(people).order_by(col(User.id)).with_for_update()
    there = user_id in session.exec(locked).all()
    counted = or_(col(Post.id).in_(liked), col(Post.id).in_(select(gone.c.parent_id)))
    rows = select(Post.id).where(counted).order_by(col(Post.id).desc())
    session.exec(rows.with_for_update(key_share=True)).all()
    return there


def delete_account(session: Session, user_id: int) -> bool:
    """Deletes a user with all that is theirs, and takes it out of everybody else's counters.

    Says whether there still was such a user.
    """
    there = lock_account(session, user_id)
    idols, fans, liked, gone = _around(user_id)
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
