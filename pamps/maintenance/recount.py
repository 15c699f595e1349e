"""What `pamps recount` does: counters that differ from what they count are put right."""

from collections import Counter
from typing import Any

from sqlalchemy import func, or_
from sqlalchemy.orm import aliased
from sqlmodel import Session, col, select, update

from pamps.models import Like, Post, Social, User
from pamps.models.user import NOT_DELETED, of_existing

# So many rows are looked at with one statement; those of them that are wrong are locked together.
BATCH = 200
Reply = aliased(Post)


def _count(table: Any, column: Any, id_: Any) -> Any:
    return select(func.count()).select_from(table).where(column == id_).scalar_subquery()


USER_COUNTERS = {
    "post_count": _count(Post, Post.user_id, User.id),
    "follower_count": _count(Social, Social.to_id, User.id),
    "following_count": _count(Social, Social.from_id, User.id),
}
POST_COUNTERS = {
    "like_count": _count(Like, Like.post_id, Post.id),
    "reply_count": _count(Reply, Reply.parent_id, Post.id),
}


def recount(session: Session) -> dict[str, int]:
    """Put all counters right; give those that were wrong, and in how many rows.

    Commits after each batch. What is right is only read, so that nobody waits for it.
    """
    # Rows are locked in the order of docs/decisions/0006-counters.md.
    users = _recount(session, User, USER_COUNTERS, NOT_DELETED, col(User.id))
    existing = of_existing(Post.user_id)
    return users | _recount(session, Post, POST_COUNTERS, existing, col(Post.id).desc())


def _recount(
    session: Session, table: Any, counters: dict[str, Any], exists: Any, order: Any
) -> dict[str, int]:
    """Put the counters of one table right, whose rows are locked in that order."""
    changed: Counter[str] = Counter()
    wrong = or_(*[getattr(table, name) != truth for name, truth in counters.items()])
    rows = select(table.id, wrong.label("wrong")).order_by(table.id).limit(BATCH)
    last_id = 0
    while page := session.execute(rows.where(exists, table.id > last_id)).all():
        last_id = page[-1].id
        if ids := [row.id for row in page if row.wrong]:
            changed += _correct(session, table, counters, table.id.in_(ids), order)
        session.commit()
    return {f"{table.__tablename__}.{name}": changed[name] for name in counters if changed[name]}


def _correct(
    session: Session, table: Any, counters: dict[str, Any], these: Any, order: Any
) -> Counter[str]:
    """Put the counters of these rows right; count how many rows of each are changed."""
    # Who changes a counter waits from now on, and what they have done before is counted below.
    session.execute(select(table.id).where(these).order_by(order).with_for_update(key_share=True))
    wrong = [(getattr(table, name) != truth).label(name) for name, truth in counters.items()]
    changed: Counter[str] = Counter()
    for row in session.execute(select(*wrong).where(these)).mappings():
        changed.update({name: 1 for name, is_wrong in row.items() if is_wrong})
    change = update(table).where(these).values(counters)
    session.execute(change.execution_options(synchronize_session=False))
    return changed
