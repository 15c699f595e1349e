"""Creating, editing and deleting posts: one statement each."""

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import aggregate_order_by, insert
from sqlmodel import col

from pamps.models.columns import VIEWER_ID, AnySelect, Column
from pamps.models.event import record_events
from pamps.models.notification import (
    Notification,
    delete_notifications,
    inboxes_locked_first,
    notify,
    recipients,
)
from pamps.models.post import (
    AUTHOR_COLUMNS,
    OLD_TEXT,
    PARENT_ID,
    POST_ID,
    Post,
    mentions,
    response_columns,
    tags,
)
from pamps.models.tag import Tag
from pamps.models.timeline import Entry, insert_entries
from pamps.models.user import IS_VIEWER, NOT_DELETED, User, fold_case_sql, user_not_deleted
from pamps.models.visibility import is_blocked

MAX_MENTIONS = 10

# What `find_entities` finds in a text; null instead of an empty list.
USERNAMES = sa.bindparam("usernames", type_=sa.ARRAY(sa.Text))
TAGS = sa.bindparam("tags", type_=sa.ARRAY(sa.Text))

NOBODY: Column = sa.literal_column("'{}'::bigint[]")


def _mention_ids() -> sa.ScalarSelect[list[int]]:
    """Select the ids of the first users that a text mentions, in its order."""
    names = sa.func.unnest(USERNAMES).table_valued("name", with_ordinality="position")
    names = names.render_derived()
    is_named = (fold_case_sql(col(User.username)) == names.c.name) & NOT_DELETED
    users = sa.select(col(User.id), names.c.position).join(names, is_named)
    first = users.order_by(names.c.position).limit(MAX_MENTIONS).subquery("mentioned_users")
    ids = sa.func.array_agg(aggregate_order_by(first.c.id, first.c.position))
    return sa.select(ids).scalar_subquery()


def _insert_tags(posts: sa.CTE) -> sa.CTE:
    """Insert those hashtags of posts that are not stored yet."""
    rows = sa.select(sa.func.unnest(posts.c.tags), posts.c.id, posts.c.user_id)
    tags = insert(Tag).from_select(["tag", "post_id", "user_id"], rows, include_defaults=False)
    return tags.on_conflict_do_nothing().cte("inserted_tags")


def _newly_mentioned(post: sa.CTE, parent_user_id: Column, before: Column) -> AnySelect:
    """Select the users that a post mentions but its parent's author, and those mentioned before."""
    user_id = sa.func.unnest(post.c.mention_ids).column_valued("mentioned_id")
    mentioned = recipients("mention", user_id, post.c.id).select_from(post)
    return mentioned.where(user_id.is_distinct_from(parent_user_id), user_id != sa.all_(before))


def insert_post() -> AnySelect:
    """Insert a post by `viewer_id` with its `text` and `parent_id`, and return it as they see it.

    Nothing is inserted or counted if that user or that parent does not exist, or if there is a
    block between the user and the parent's author.
    """
    # First the author, then the parent: see docs/decisions/0006-counters.md.
    user = sa.select(col(User.id)).where(IS_VIEWER)
    locked = user.with_for_update(key_share=True).cte("locked")
    replied = sa.update(Post).where(col(Post.id) == PARENT_ID, user_not_deleted(Post.user_id))
    replied = replied.where(~is_blocked(locked.c.id, col(Post.user_id)))
    replied = replied.values(reply_count=Post.reply_count + 1)
    parent = replied.returning(col(Post.user_id)).cte("parent")
    allowed = sa.or_(PARENT_ID.is_(None), sa.exists().select_from(parent))
    counted = sa.update(User).where(IS_VIEWER, allowed)
    counted = counted.values(post_count=User.post_count + 1)
    author = counted.returning(*AUTHOR_COLUMNS).cte("author")
    text = sa.bindparam("text", type_=sa.Text)
    values = sa.select(text, VIEWER_ID, PARENT_ID, _mention_ids(), TAGS).select_from(author)
    names = ["text", "user_id", "parent_id", "mention_ids", "tags"]
    post = sa.insert(Post).from_select(names, values, include_defaults=False)
    stored = post.returning(*sa.inspect(Post).columns).cte("stored")
    own = dict.fromkeys(("liked", "reposted", "bookmarked"), sa.false())
    columns = response_columns(stored, list(author.c), **own)
    query = sa.select(*columns).select_from(stored).join(author, sa.true())
    reply = recipients("reply", parent.c.user_id, stored.c.id).select_from(stored)
    parent_user_id = sa.select(parent.c.user_id).scalar_subquery()
    told = reply.union_all(_newly_mentioned(stored, parent_user_id, NOBODY))
    entry = insert_entries(sa.select(stored.c.user_id, stored.c.id, stored.c.id, stored.c.user_id))
    return query.add_cte(_insert_tags(stored), entry, notify(told))


def update_text() -> AnySelect:
    """Replace the text of the post `post_id` of `viewer_id`, if it is still `old_text`.

    Returns the fields that have changed, or nothing.
    """
    is_same = (col(Post.id) == POST_ID) & (col(Post.text) == OLD_TEXT)
    values = {"text": sa.bindparam("new_text", type_=sa.Text), "edited_at": sa.func.now()}
    values |= {"mention_ids": _mention_ids(), "tags": TAGS}
    user = sa.select(col(User.id)).where(IS_VIEWER)
    author = user.with_for_update(read=True, key_share=True).cte("author")
    changed = sa.update(Post).where(is_same, col(Post.user_id) == author.c.id).values(values)
    post = changed.returning(*sa.inspect(Post).columns).cte("changed")
    is_unused = (col(Tag.post_id) == post.c.id) & (col(Tag.tag) != sa.all_(tags(post)))
    unused = sa.delete(Tag).where(is_unused).cte("deleted_tags")
    fields = post.c.text, post.c.edited_at, mentions(post), tags(post)
    mentioned = sa.select(col(Post.mention_ids)).where(is_same).scalar_subquery()
    before = sa.func.coalesce(mentioned, NOBODY)
    parent_user_id = sa.select(col(Post.user_id)).where(col(Post.id) == post.c.parent_id)
    after = sa.func.coalesce(post.c.mention_ids, NOBODY)
    locked = inboxes_locked_first(post, before.concat(after))
    new = _newly_mentioned(post, parent_user_id.scalar_subquery(), before)
    told = notify(new.where(locked))
    is_mention = (col(Notification.post_id) == post.c.id) & (col(Notification.kind) == "mention")
    is_gone = col(Notification.user_id) != sa.all_(after)
    untold = delete_notifications(is_mention, is_gone, locked)
    edited = record_events("edited", post, post.c.user_id, post.c.id)
    return sa.select(*fields).add_cte(_insert_tags(post), unused, edited, told, *untold)


def lock_post() -> AnySelect:
    """Lock the post `post_id`, its author and its parent, before the post is removed.

    The next statement then sees all likes, reposts and notifications of the post.
    """
    # First the author, then the post, then its parent: see docs/decisions/0006-counters.md.
    is_post = col(Post.id) == POST_ID
    user = sa.select(col(User.id)).join(Post, col(Post.user_id) == User.id).where(is_post)
    author = user.with_for_update(of=User, key_share=True).cte("author")
    parent_id = sa.select(col(Post.parent_id)).where(is_post).scalar_subquery()
    posts = sa.select(col(Post.id)).join(author, sa.true())
    posts = posts.where(is_post | (col(Post.id) == parent_id)).order_by(col(Post.id).desc())
    return posts.with_for_update(of=Post, key_share=True)


def remove_post(removal: sa.Delete | sa.Update) -> AnySelect:
    """Apply a removal to the post `post_id`, if its text is still `old_text`, and return its id.

    The post no longer counts for its author, or as a reply to its parent. It takes the locks of
    `lock_post`.
    """
    before = sa.select(col(Post.user_id), col(Post.parent_id)).where(col(Post.id) == POST_ID)
    post = before.cte("post_before")
    author = sa.select(col(User.id)).where(col(User.id) == post.c.user_id, NOT_DELETED).exists()
    removal = removal.where(col(Post.id) == POST_ID, col(Post.text) == OLD_TEXT, author)
    removed = removal.returning(col(Post.id)).cte("removed")
    written = sa.update(User).where(col(User.id) == post.c.user_id, removed.c.id == POST_ID)
    written = written.values(post_count=sa.func.greatest(User.post_count - 1, 0))
    replied = sa.update(Post).where(col(Post.id) == post.c.parent_id, removed.c.id == POST_ID)
    replied = replied.values(reply_count=sa.func.greatest(Post.reply_count - 1, 0))
    is_entry = (col(Entry.user_id) == post.c.user_id) & (col(Entry.id) == removed.c.id)
    entry = sa.delete(Entry).where(is_entry).cte("entry_deleted")
    gone = sa.join(post, removed, removed.c.id == POST_ID)
    told = record_events("deleted", gone, post.c.user_id, removed.c.id)
    others = written.cte("written"), replied.cte("replied"), told
    return sa.select(removed.c.id).add_cte(entry, *others)


def delete_locked_post() -> AnySelect:
    """Delete the post `post_id` and the notifications of it: see `remove_post`."""
    deleted = remove_post(sa.delete(Post))
    is_told = col(Notification.post_id) == deleted.selected_columns.id
    return deleted.add_cte(*delete_notifications(is_told))
