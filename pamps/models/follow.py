"""Who follows whom: table, queries."""

import sqlalchemy as sa
from sqlmodel import col

from pamps.config import settings
from pamps.models.columns import VIEWER_ID, AnySelect, Column, Pair, insert_or_get
from pamps.models.notification import Notification, delete_notifications, notify, recipients
from pamps.models.pair import BOTH_USERS
from pamps.models.user import NOT_DELETED, USER_ID, User, users
from pamps.models.visibility import has_block, is_blocked


class Social(Pair, table=True):
    """`from_id` follows `to_id`."""

    __table_args__ = (
        sa.Index("ix_social_followers", "to_id", "id"),
        sa.Index("ix_social_following", "from_id", "id"),
        sa.CheckConstraint("from_id <> to_id", name="not_self"),
    )


def followers(user_id: Column) -> AnySelect:
    """Select the users who follow a user."""
    return users().join(Social, col(Social.from_id) == User.id).where(col(Social.to_id) == user_id)


def follow() -> AnySelect:
    """Make `viewer_id` follow `user_id`; return the row and, as `created`, whether it is new.

    Returns nothing if one of them does not exist, if there is a block between them, or if
    `viewer_id` follows as many as allowed.
    """
    locked = _locked_users()
    following_count = sa.func.max(locked.c.following_count).filter(locked.c.id == VIEWER_ID)
    allowed = sa.select(sa.func.count().label("users")).select_from(locked)
    allowed = allowed.having(sa.func.count() == 2, following_count < settings.social.max_following)
    allowed = allowed.having(~is_blocked(sa.func.min(locked.c.id), sa.func.max(locked.c.id)))
    added = insert_or_get(Social, (VIEWER_ID, USER_ID), allowed)
    new = sa.select(added.c.from_id, added.c.to_id).where(added.c.created).cte("new")
    told = notify(recipients("follow", new.c.to_id))
    return sa.select(*added.c).add_cte(change_counters(new, 1), told)


def existing_follow() -> AnySelect:
    """Select the follow of `user_id` by `viewer_id`, and what would keep them from a new one.

    That is whether they are `blocked`, and whether `viewer_id` follows `too_many`. The follow's
    columns are null if the user exists but is not followed; there is no row without a user.
    """
    blocked = has_block(VIEWER_ID, sa.inspect(User).columns.id).label("blocked")
    viewer = sa.inspect(User).local_table.alias("viewer")
    number = sa.select(viewer.c.following_count).where(viewer.c.id == VIEWER_ID).scalar_subquery()
    too_many = (number >= settings.social.max_following).label("too_many")
    columns = col(Social.from_id), col(Social.to_id), col(Social.date), blocked, too_many
    query = sa.select(*columns).select_from(User)
    is_follow = (col(Social.to_id) == col(User.id)) & (col(Social.from_id) == VIEWER_ID)
    return query.outerjoin(Social, is_follow).where(col(User.id) == USER_ID, NOT_DELETED)


def unfollow() -> AnySelect:
    """Make `viewer_id` follow `user_id` no longer; return a row if there is such a user."""
    locked = _locked_users()
    exist = sa.select(sa.func.count()).select_from(locked).scalar_subquery() == 2
    pair = sa.delete(Social).where(col(Social.from_id) == VIEWER_ID, col(Social.to_id) == USER_ID)
    gone = pair.where(exist).returning(col(Social.from_id), col(Social.to_id)).cte("gone")
    user = sa.select(locked.c.id).where(locked.c.id == USER_ID)
    is_follow = (col(Notification.from_id) == VIEWER_ID) & (col(Notification.kind) == "follow")
    untold = delete_notifications(is_follow, col(Notification.user_id) == gone.c.to_id)
    return user.add_cte(change_counters(gone, -1), *untold)


def _locked_users() -> sa.CTE:
    """Lock both users, in the order of docs/decisions/0006-counters.md."""
    users = sa.select(col(User.id), col(User.following_count)).where(BOTH_USERS)
    return users.order_by(col(User.id)).with_for_update(key_share=True).cte("locked")


def change_counters(follows: sa.CTE, amount: int) -> sa.CTE:
    """Add `amount` to the counters of `viewer_id` and `user_id` for each follow between them."""
    each = sa.select(amount * sa.func.count()).select_from(follows)
    follower = each.where(follows.c.from_id == User.id).scalar_subquery()
    followed = each.where(follows.c.to_id == User.id).scalar_subquery()
    counted = sa.update(User).where(BOTH_USERS, sa.exists().select_from(follows))
    counted = counted.values(
        following_count=sa.func.greatest(User.following_count + follower, 0),
        follower_count=sa.func.greatest(User.follower_count + followed, 0),
    )
    return counted.cte("counted")
