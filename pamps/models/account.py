"""Deletion of accounts: statements that hide an account, and that delete its rows in batches.

See docs/decisions/0016-account-deletion.md.
"""

import sqlalchemy as sa
from sqlalchemy.orm import Mapped
from sqlmodel import SQLModel, col

from pamps.models.columns import AnySelect, Condition
from pamps.models.notification import Notification, delete_notifications
from pamps.models.post import Post
from pamps.models.post_writes import remove_post
from pamps.models.session import UserSession
from pamps.models.tag import Tag
from pamps.models.user import NOT_DELETED, User

# Others may have to wait for the rows of a batch, so it should take a few milliseconds.
BATCH_SIZE = sa.literal_column("200", sa.BigInteger)
# What is overwritten at once. No query finds a user by this name.
ERASED = {
    "deleted": True,
    "superuser": False,
    "email": "",
    "username": "deleted",
    # Passes the CHECK on `password`, but no password matches it.
    "password": "$argon2$",  # nosec B105
    "avatar": None,
    "bio": None,
}

# Not named like a column: SQLAlchemy's sessions would store it in the rows that are updated.
ACCOUNT_ID = sa.bindparam("account_id", type_=sa.BigInteger)
# Key: the column holding the deleted account. Value: the column pointing to the row whose counter
# goes down, its model, its counter.
COUNTERS: dict[str, tuple[str, type[Post] | type[User], Mapped[int]]] = {
    "like.user_id": ("post_id", Post, col(Post.like_count)),
    "repost.user_id": ("post_id", Post, col(Post.repost_count)),
    "social.from_id": ("to_id", User, col(User.follower_count)),
    "social.to_id": ("from_id", User, col(User.following_count)),
}

NOTIFICATIONS = sa.inspect(Notification).local_table
# The columns that hold the id of a user.
OWNERS = "user.id", "inbox.user_id"

Ids = sa.Select[int]


def delete_account(condition: Condition) -> sa.Select[int, str]:
    """Delete the account that fulfils a condition: erase its profile and end its sessions.

    Returns its id and its name, or nothing if there is no such account.
    """
    # FOR UPDATE waits for inserts that refer to this user; later ones see `deleted`.
    account = sa.select(col(User.id), col(User.username)).where(condition, NOT_DELETED)
    locked = account.with_for_update().cte("locked")
    erase = sa.update(User).where(col(User.id) == locked.c.id).values(ERASED).cte("erased")
    end = sa.delete(UserSession).where(col(UserSession.user_id) == locked.c.id).cte("ended")
    return sa.select(locked.c.id, locked.c.username).add_cte(erase, end)


def move_post_to_deleted_account() -> AnySelect:
    """Delete the post `post_id`, if its text is still `old_text`, however many rows refer to it.

    Moves the post to a new, already deleted account, so that the background task deletes these rows
    in batches; the hashtags, which are few, are deleted at once. Returns its id.
    """
    columns = sa.inspect(User).columns
    values = sa.select(*[sa.literal(value, columns[name].type) for name, value in ERASED.items()])
    # The other columns get the defaults of the database: a Query knows no defaults of Python.
    account = sa.insert(User).from_select(list(ERASED), values, include_defaults=False)
    owner = account.returning(col(User.id)).cte("owner")
    owner_id = sa.select(owner.c.id).scalar_subquery()
    erased = {"text": "deleted", "parent_id": None, "mention_ids": None, "tags": None}
    moved = remove_post(sa.update(Post).values(user_id=owner_id, **erased))
    tags = sa.delete(Tag).where(col(Tag.post_id) == moved.selected_columns.id)
    return moved.add_cte(tags.cte("deleted_tags"))


def batches() -> list[Ids]:
    """Return the statements that delete the rows of the deleted account `account_id`.

    Each deletes a batch, updates counters, and returns one row for each deleted row. It does
    nothing while another worker holds the account's advisory lock.
    """
    columns = [column for column in _references(*OWNERS) if column.table.name != "post"]
    return [
        _delete_posts(),
        *map(_delete_rows_of_posts, _references("post.id")),
        *map(_delete_rows, columns),
    ]


def delete_user_row() -> Ids:
    """Delete the row of the deleted account `account_id` itself, if it is the last one."""
    claimed = _locked_account()
    empty = [~sa.exists().where(column == claimed) for column in _references(*OWNERS)]
    gone = sa.delete(User).where(col(User.id) == claimed, *empty)
    return sa.select(gone.returning(col(User.id)).cte("gone").c.id)


def _references(*to: str) -> list[sa.Column[int]]:
    """Return all columns that refer to columns such as "user.id", children first."""
    return [
        key.parent
        for table in reversed(SQLModel.metadata.sorted_tables)
        # A set, whose order differs between processes.
        for key in sorted(table.foreign_keys, key=lambda key: key.parent.name)
        if key.target_fullname in to
    ]


def _locked_account() -> sa.ScalarSelect[int]:
    """Select the id of the account, unless another process is deleting its rows."""
    # An advisory lock, not a row lock: locking this row first would break the lock order.
    is_free = sa.func.pg_try_advisory_xact_lock(-col(User.id))
    account = sa.select(col(User.id)).where(col(User.id) == ACCOUNT_ID, col(User.deleted), is_free)
    return sa.select(account.cte("claimed").c.id).scalar_subquery()


def _locked_first(table: type[Post] | type[User], ids: Ids | sa.CompoundSelect[int]) -> Condition:
    """Return a condition that is always true, but makes PostgreSQL lock rows of a table first.

    The order is that of docs/decisions/0006-counters.md.
    """
    id_ = col(table.id)
    # A reply comes before the post that it replies to, which has a smaller id.
    rows = sa.select(id_).where(id_.in_(ids)).order_by(id_.desc() if table is Post else id_)
    locked = rows.with_for_update(key_share=True).cte("locked")
    return sa.select(sa.func.count()).select_from(locked).scalar_subquery() >= 0


def _delete_rows(own: sa.Column[int]) -> Ids:
    """Delete rows that have the account in the column `own`, and subtract them from counters."""
    key = own.table.primary_key
    picked = sa.select(*key).where(own == _locked_account()).limit(BATCH_SIZE).cte("picked")
    if own.table is NOTIFICATIONS:
        return _delete_picked_notifications(picked)
    gone = sa.delete(own.table).where(*[column == picked.c[column.key] for column in key])
    if str(own) not in COUNTERS:
        return sa.select(gone.returning(own.label("id")).cte("gone").c.id)
    other, table, counter = COUNTERS[str(own)]
    gone = gone.where(_locked_first(table, sa.select(picked.c[other])))
    rows = gone.returning(own.table.columns[other].label("id")).cte("gone")
    counted = sa.update(table).where(col(table.id) == rows.c.id)
    counted = counted.values({counter: sa.func.greatest(counter - 1, 0)})
    return sa.select(rows.c.id).add_cte(counted.cte("counted"))


def _delete_picked_notifications(picked: sa.CTE) -> Ids:
    """Delete notifications, and subtract them from inboxes."""
    is_picked = [col(Notification.user_id) == picked.c.user_id, col(Notification.id) == picked.c.id]
    # Another transaction that deletes some of them may lock them in another order.
    deleted, counted = delete_notifications(*is_picked, skip_locked=True)
    return sa.select(deleted.c.id).add_cte(counted)


def _newest_posts() -> sa.CTE:
    is_own = col(Post.user_id) == _locked_account()
    posts = sa.select(col(Post.id), col(Post.parent_id)).where(is_own)
    return posts.order_by(col(Post.id).desc()).limit(BATCH_SIZE).cte("newest")


def _delete_rows_of_posts(post_id: sa.Column[int]) -> Ids:
    """Delete rows that refer to the account's newest posts in the column `post_id`."""
    newest = _newest_posts()
    key = post_id.table.primary_key
    of_each = sa.select(*key).where(post_id == newest.c.id).limit(BATCH_SIZE).lateral("of_each")
    rows = sa.select(newest.c.id.label("locked_id"), *of_each.c)
    picked = rows.select_from(newest.join(of_each, sa.true())).limit(BATCH_SIZE).cte("picked")
    if post_id.table is NOTIFICATIONS:
        return _delete_picked_notifications(picked)
    gone = sa.delete(post_id.table).where(*[column == picked.c[column.key] for column in key])
    gone = gone.where(_locked_first(Post, sa.select(picked.c.locked_id)))
    return sa.select(gone.returning(post_id).cte("gone").c[post_id.key])


def _delete_posts() -> Ids:
    """Delete those of the account's newest posts that no row refers to any more."""
    newest = _newest_posts()
    references = [sa.exists().where(column == newest.c.id) for column in _references("post.id")]
    picked = sa.select(newest.c.id, newest.c.parent_id).where(~sa.or_(*references)).cte("picked")
    ids = sa.select(picked.c.id).union_all(sa.select(picked.c.parent_id))
    posts = sa.delete(Post).where(col(Post.id) == picked.c.id, _locked_first(Post, ids))
    gone = posts.returning(col(Post.id), col(Post.parent_id)).cte("gone")
    replies = sa.select(gone.c.parent_id, sa.func.count().label("count")).group_by(gone.c.parent_id)
    replied = replies.cte("replied")
    # Not posts of the account itself: they go too, perhaps in this very statement.
    is_other = col(Post.user_id) != ACCOUNT_ID
    counted = sa.update(Post).where(col(Post.id) == replied.c.parent_id, is_other)
    fewer = sa.func.greatest(col(Post.reply_count) - replied.c["count"], 0)
    return sa.select(gone.c.id).add_cte(counted.values(reply_count=fewer).cte("counted"))
