"""Recalculate counters and correct wrong ones."""

from collections import Counter

from sqlalchemy import ColumnElement, ScalarSelect, func, inspect, or_, true
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Mapped, aliased
from sqlmodel import Session, col, select, update

from pamps.models import Entry, Inbox, Like, Notification, Post, Repost, Social, User
from pamps.models.columns import AnySelect, Column, Condition
from pamps.models.user import NOT_DELETED, user_not_deleted

# Rows checked by one statement; the wrong ones among them are locked together.
BATCH_SIZE = 200

Counters = dict[str, ScalarSelect[int]]


def _count(
    column: Mapped[int] | Mapped[int | None], id_: Mapped[int], *conditions: Condition
) -> ScalarSelect[int]:
    return select(func.count()).where(column == id_, *conditions).scalar_subquery()


USER_COUNTERS: Counters = {
    "post_count": _count(col(Post.user_id), col(User.id)),
    "follower_count": _count(col(Social.to_id), col(User.id)),
    "following_count": _count(col(Social.from_id), col(User.id)),
}
POST_COUNTERS: Counters = {
    "like_count": _count(col(Like.post_id), col(Post.id)),
    "repost_count": _count(col(Repost.post_id), col(Post.id)),
    "reply_count": _count(col(aliased(Post).parent_id), col(Post.id)),
}
INBOX_COUNTERS: Counters = {
    "unread_count": _count(
        col(Notification.user_id), col(Inbox.user_id), col(Notification.id) > Inbox.read_id
    )
}


def recount(session: Session) -> dict[str, int]:
    """Correct all counters; return in how many rows each of the wrong ones was wrong.

    Commits after each batch. Rows that are right are not locked.
    """
    # Rows are locked in the order of docs/decisions/0006-counters.md.
    users = _recount(session, User, USER_COUNTERS, NOT_DELETED, col(User.id))
    existing = user_not_deleted(Post.user_id)
    posts = _recount(session, Post, POST_COUNTERS, existing, col(Post.id).desc())
    inboxes = _recount(session, Inbox, INBOX_COUNTERS, true(), col(Inbox.user_id))
    return users | posts | inboxes | _insert_missing_entries(session)


def _insert_missing_entries(session: Session) -> dict[str, int]:
    """Insert the timeline's entries of posts and reposts that were not stored by the API."""
    author_id: Column = col(Post.user_id).label("author_id")
    own: AnySelect = select(Post.user_id, Post.id, col(Post.id).label("post_id"), author_id)
    reposts: AnySelect = select(Repost.user_id, Repost.id, Repost.post_id, author_id)
    reposts = reposts.join(Post, col(Post.id) == Repost.post_id)
    ids = select(col(Post.id)).order_by(col(Post.id)).limit(BATCH_SIZE)
    added = last_id = 0
    while batch := session.scalars(ids.where(col(Post.id) > last_id)).all():
        last_id = batch[-1]
        for rows in (own, reposts):
            # Locked, so that no post is deleted before its entry is stored.
            rows = rows.where(col(Post.id).in_(batch)).with_for_update(read=True, key_share=True)
            entries = insert(Entry).from_select(
                ["user_id", "id", "post_id", "author_id"], rows, include_defaults=False
            )
            stored = entries.on_conflict_do_nothing().returning(col(Entry.id))
            added += len(session.execute(stored).all())
        session.commit()
    return {"entry": added} if added else {}


def _recount(
    session: Session,
    table: type[User] | type[Post] | type[Inbox],
    counters: Counters,
    exists: Condition,
    order: ColumnElement[int] | Mapped[int],
) -> dict[str, int]:
    """Correct the counters of one table. `order` is the order in which its rows are locked."""
    changed: Counter[str] = Counter()
    (id_,) = inspect(table).primary_key
    wrong = [(getattr(table, name) != truth).label(name) for name, truth in counters.items()]
    rows = select(id_.label("id"), or_(*wrong).label("is_wrong")).order_by(id_).limit(BATCH_SIZE)
    last_id = 0
    while page := session.execute(rows.where(exists, id_ > last_id)).all():
        last_id = page[-1].id
        if ids := [row.id for row in page if row.is_wrong]:
            batch = id_.in_(ids)
            # Lock first: no counter can change between the count and the update.
            lock = select(id_).where(batch).order_by(order).with_for_update(key_share=True)
            session.execute(lock)
            for row in session.execute(select(*wrong).where(batch)).mappings():
                changed.update(name for name, is_wrong in row.items() if is_wrong)
            correction = update(table).where(batch).values(counters)
            session.execute(correction.execution_options(synchronize_session=False))
        session.commit()
    return {f"{table.__tablename__}.{name}": changed[name] for name in counters if changed[name]}
