"""Which events are for whom, and what they show: queries.

See docs/decisions/0028-live-events.md.
"""

import sqlalchemy as sa
from sqlmodel import col

from pamps.models.columns import LIMIT, AnySelect, Column, id_parameter
from pamps.models.event import AFTER, IS_SETTLED, KEY, Event
from pamps.models.follow import Social
from pamps.models.post import OWN_FIELDS, Post, all_posts, own_fields
from pamps.models.timeline import Entry, is_seen, is_shown, reposted_by
from pamps.models.user import User

# The users among whom viewers are looked for, and whether there are anonymous ones too.
VIEWER_IDS = sa.bindparam("viewer_ids", type_=sa.ARRAY(sa.BigInteger))
ANONYMOUS = sa.bindparam("anonymous", type_=sa.Boolean)
UNTIL = sa.tuple_(id_parameter("until_xid"), id_parameter("until_id"))
POST_IDS = sa.bindparam("post_ids", type_=sa.ARRAY(sa.BigInteger))
REPOSTER_IDS = sa.bindparam("reposter_ids", type_=sa.ARRAY(sa.BigInteger))
NOBODY: Column = sa.literal_column("NULL::bigint")
NUMBER_OF_VIEWERS = sa.func.cardinality(VIEWER_IDS)


def deliveries() -> AnySelect:
    """Select the viewers of up to `limit` events between two positions, in the events' order.

    The last event always has a row, even if it is for nobody: then `has_viewer` is null. `number`
    is that of the events, and `seconds` how long ago one was stored.
    """
    events = sa.select(Event).where(KEY > AFTER, KEY <= UNTIL, IS_SETTLED)
    events = events.order_by(col(Event.xid), col(Event.id))
    page = events.limit(LIMIT).cte("page")
    viewers = _viewers_of_posts(page).union_all(_viewers_of_notifications(page))
    found = viewers.subquery("viewers")
    age = sa.func.extract("epoch", sa.func.clock_timestamp() - page.c.date)
    number = sa.select(sa.func.count()).select_from(page).scalar_subquery()
    last = sa.select(page.c.id).order_by(page.c.xid.desc(), page.c.id.desc())
    is_last = page.c.id == last.limit(sa.literal_column("1", sa.Integer)).scalar_subquery()
    query = sa.select(
        *(page.c.xid, page.c.id, page.c.kind, page.c.subject_id, number.label("number")),
        *(sa.cast(age, sa.Float).label("seconds"), *found.c[1:]),
    )
    query = query.outerjoin(found, found.c.event_id == page.c.id)
    query = query.where(found.c.has_viewer.is_not(None) | is_last)
    return query.order_by(page.c.xid, page.c.id)


def _viewers_of_posts(page: sa.CTE) -> AnySelect:
    """Select the viewers of posts and of changes of posts: followers, authors, and anybody.

    A change of a post is treated as an entry of a timeline that shows the post.
    """
    is_entry = (col(Entry.user_id) == page.c.user_id) & (col(Entry.id) == page.c.subject_id)
    is_entry &= page.c.kind == sa.literal_column("'post'")
    is_change = page.c.kind.in_([sa.literal_column("'edited'"), sa.literal_column("'deleted'")])
    entries = sa.select(
        *(page.c.id.label("event_id"), page.c.user_id, page.c.subject_id.label("id")),
        sa.func.coalesce(Entry.post_id, page.c.subject_id).label("post_id"),
        sa.func.coalesce(Entry.author_id, page.c.user_id).label("author_id"),
        is_change.label("is_change"),
    )
    entries = entries.outerjoin(Entry, is_entry).where(is_change | col(Entry.id).is_not(None))
    entry = entries.cte("told")
    candidates = sa.union_all(*_followers(entry), _authors(entry), _anybody(entry))
    candidate = candidates.subquery("candidate")
    viewer_id = candidate.c.viewer_id
    is_repost = candidate.c.id != candidate.c.post_id
    rows = sa.select(
        *(candidate.c.event_id, sa.true().label("has_viewer"), viewer_id, candidate.c.post_id),
        sa.case((is_repost, candidate.c.user_id)).label("reposter_id"),
        *[
            column.label(name)
            for name, column in own_fields(candidate.c.post_id, viewer_id).items()
        ],
    )
    return rows.where(is_seen(candidate, viewer_id), is_shown(candidate, viewer_id))


def _followers(entry: sa.CTE) -> tuple[AnySelect, AnySelect]:
    """Select, in two parts, those of the viewers who follow the users of entries.

    Reads whichever are fewer: the followers of a user, or the viewers.
    """
    viewer = sa.func.unnest(VIEWER_IDS).table_valued("id", name="viewer").render_derived()
    few = col(User.follower_count) <= NUMBER_OF_VIEWERS
    # OFFSET keeps PostgreSQL from looking each viewer up among the followers.
    of_user = sa.select(col(Social.from_id)).where(col(Social.to_id) == entry.c.user_id)
    follower = of_user.offset(sa.literal_column("0", sa.Integer)).lateral("follower")
    users = sa.select(*entry.c, viewer.c.id.label("viewer_id"))
    users = users.join(User, col(User.id) == entry.c.user_id)
    by_followers = users.join(follower, sa.true()).join(viewer, viewer.c.id == follower.c.from_id)
    is_follow = (col(Social.from_id) == viewer.c.id) & (col(Social.to_id) == entry.c.user_id)
    by_viewers = users.join(viewer, sa.true()).join(Social, is_follow)
    return by_followers.where(few), by_viewers.where(~few)


def _authors(entry: sa.CTE) -> AnySelect:
    """Select the authors of changes, if they are viewers."""
    rows = sa.select(*entry.c, entry.c.user_id.label("viewer_id"))
    return rows.where(entry.c.is_change, entry.c.user_id == sa.any_(VIEWER_IDS))


def _anybody(entry: sa.CTE) -> AnySelect:
    """Select the anonymous viewer, who sees home: new posts that are no replies."""
    rows = sa.select(*entry.c, NOBODY.label("viewer_id")).join(Post, col(Post.id) == entry.c.id)
    return rows.where(ANONYMOUS, ~entry.c.is_change, col(Post.parent_id).is_(None))


def _viewers_of_notifications(page: sa.CTE) -> AnySelect:
    """Select the recipients of notifications."""
    nothing = [NOBODY, NOBODY, *[sa.literal_column("NULL::boolean")] * len(OWN_FIELDS)]
    rows = sa.select(page.c.id, sa.true(), page.c.user_id, *nothing)
    is_viewer = page.c.user_id == sa.any_(VIEWER_IDS)
    return rows.where(page.c.kind == sa.literal_column("'notification'"), is_viewer)


def delivered_posts() -> AnySelect:
    """Select the posts `post_ids` without a viewer, each with who of `reposter_ids` reposted it."""
    ids = sa.func.unnest(POST_IDS, REPOSTER_IDS)
    wanted = ids.table_valued("post_id", "user_id", name="wanted").render_derived()
    reposter_id = sa.type_coerce(wanted.c.user_id, sa.BigInteger)
    query = all_posts(NOBODY).join(wanted, wanted.c.post_id == Post.id)
    by = reposted_by(reposter_id.is_not(None), reposter_id)
    return query.add_columns(by, reposter_id.label("reposter_id"))
