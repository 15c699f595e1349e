"""What is left of deleted accounts: queries that delete it in batches, out of all counters.

Each is one short transaction, for the deleted account `user_id`, and gives the number of `rows`
that it deleted: none when nothing is left, or while another process deletes for the same account.
"""

from typing import Any

from sqlalchemy import exists, func, true
from sqlmodel import col, delete, select, update

from pamps.models.columns import Query
from pamps.models.idempotency import Outcome
from pamps.models.post import Like, Post
from pamps.models.user import USER_ID, Social, User

# Others may have to wait for the rows of a batch, so it should take a few milliseconds.
BATCH = 200
# What the table takes for a hash, and is that of no password.
NO_HASH = "$argon2$"
# What is overwritten at once. It is no name that a query finds.
ERASED: dict[str, Any] = {
    "deleted": True,
    "superuser": False,
    "email": "",
    "username": "deleted",
    "password": NO_HASH,
    "avatar": None,
    "bio": None,
}


def deleted_accounts() -> Query:
    query: Query = select(User.id)
    return query.where(col(User.deleted)).order_by(col(User.id))


def _claimed() -> Any:
    """The id of the account, unless another process has claimed it."""
    # Not a lock of its row, which would come before the rows of other users with smaller ids.
    is_ours = func.pg_try_advisory_xact_lock(-col(User.id))
    claimed = select(User.id).where(User.id == USER_ID, col(User.deleted), is_ours).cte("claimed")
    return select(claimed.c.id).scalar_subquery()


def _locked(locked: Any) -> Any:
    """Hold once all that a query locks is locked."""
    count = select(func.count()).select_from(locked.cte("locked")).cte("first")
    return exists().select_from(count)


def _posts(ids: Any) -> Any:
    """Posts to be locked: a post before the post that it answers, which has a smaller id."""
    posts = select(Post.id).where(col(Post.id).in_(ids)).order_by(col(Post.id).desc())
    return posts.with_for_update(key_share=True)


def _count(gone: Any, *more: Any) -> Query:
    query: Query = select(func.count().label("rows")).select_from(gone)
    for change in more:
        query = query.add_cte(change)
    return query


def _pairs(mine: Any, others: Any, counter: Any) -> Query:
    """Deletes follows or likes that have the account in `mine`, each counted by one of `others`."""
    table, target = mine.class_, counter.class_
    pairs: Query = select(*table.__table__.primary_key)
    picked = pairs.where(mine == _claimed()).order_by(table.id).limit(BATCH).cte("picked")
    ids = select(picked.c[others.name])
    users = select(User.id).where(col(User.id).in_(ids)).order_by(col(User.id))
    locked = users.with_for_update(key_share=True) if target is User else _posts(ids)
    is_picked = [column == picked.c[column.name] for column in table.__table__.primary_key]
    gone = delete(table).where(*is_picked, _locked(locked)).returning(others).cte("gone")
    counted = update(target).where(target.id == gone.c[others.name])
    counted = counted.values({counter: func.greatest(counter - 1, 0)})
    return _count(gone, counted.cte("counted"))


def _newest_posts() -> Any:
    mine = select(Post.id, Post.parent_id).where(col(Post.user_id) == _claimed())
    return mine.order_by(col(Post.id).desc()).limit(BATCH).cte("newest")


def _likes_of_posts() -> Query:
    """Deletes likes of the account's newest posts."""
    newest = _newest_posts()
    likes = select(Like.user_id, Like.post_id).where(Like.post_id == newest.c.id).limit(BATCH)
    of_each = likes.lateral("likes")
    picked = select(*of_each.c).select_from(newest.join(of_each, true())).limit(BATCH).cte("picked")
    is_picked = Like.user_id == picked.c.user_id, Like.post_id == picked.c.post_id
    gone = delete(Like).where(*is_picked, _locked(_posts(select(picked.c.post_id))))
    return _count(gone.returning(col(Like.post_id)).cte("gone"))


def _posts_without_likes() -> Query:
    """Deletes those of the account's newest posts that have no likes left."""
    newest = _newest_posts()
    liked = select(Like.user_id).where(Like.post_id == newest.c.id).exists()
    picked = select(*newest.c).where(~liked).cte("picked")
    ids = select(picked.c.id).union_all(select(picked.c.parent_id))
    posts = delete(Post).where(col(Post.id) == picked.c.id, _locked(_posts(ids)))
    gone = posts.returning(col(Post.parent_id)).cte("gone")
    replies = select(gone.c.parent_id, func.count().label("replies")).group_by(gone.c.parent_id)
    answered = replies.cte("answered")
    # Not those of the account itself: they go too, perhaps in this very statement.
    counted = update(Post).where(col(Post.id) == answered.c.parent_id, col(Post.user_id) != USER_ID)
    fewer = func.greatest(Post.reply_count - answered.c.replies, 0)
    return _count(gone, counted.values(reply_count=fewer).cte("counted"))


def _outcomes() -> Query:
    """Deletes kept answers to the account's requests."""
    keys = select(Outcome.key).where(col(Outcome.user_id) == _claimed()).limit(BATCH)
    gone = delete(Outcome).where(col(Outcome.key).in_(keys))
    return _count(gone.returning(col(Outcome.key)).cte("gone"))


def batches() -> list[Query]:
    """What has to be run until there is nothing left."""
    return [
        _posts_without_likes(),
        _likes_of_posts(),
        _pairs(Like.user_id, Like.post_id, Post.like_count),
        _pairs(Social.from_id, Social.to_id, User.follower_count),
        _pairs(Social.to_id, Social.from_id, User.following_count),
        _outcomes(),
    ]


def nothing_left() -> Query:
    """Deletes the account's own row, if it is the last one."""
    claimed = _claimed()
    empty = [
        ~select(column).where(column == claimed).exists()
        for column in map(col, (Post.user_id, Like.user_id, Social.from_id, Social.to_id))
    ]
    gone = delete(User).where(col(User.id) == claimed, *empty).returning(col(User.id))
    return _count(gone.cte("gone"))
