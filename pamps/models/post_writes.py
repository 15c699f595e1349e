"""Creating, editing and deleting posts: one statement each."""

import sqlalchemy as sa
from sqlmodel import col

from pamps.models.columns import VIEWER_ID, AnySelect
from pamps.models.post import (
    AUTHOR_COLUMNS,
    OLD_TEXT,
    PARENT_ID,
    POST_ID,
    Post,
    response_columns,
)
from pamps.models.user import IS_VIEWER, NOT_DELETED, User, user_not_deleted


def insert_post() -> AnySelect:
    """Insert a post by `viewer_id` with its `text` and `parent_id`, and return it as they see it.

    Nothing is inserted or counted if that user or that parent does not exist.
    """
    # First the author, then the parent: see docs/decisions/0006-counters.md.
    user = sa.select(col(User.id)).where(IS_VIEWER)
    locked = user.with_for_update(key_share=True).cte("locked")
    replied = sa.update(Post).where(col(Post.id) == PARENT_ID, user_not_deleted(Post.user_id))
    replied = replied.where(sa.exists().select_from(locked))
    replied = replied.values(reply_count=Post.reply_count + 1)
    parent = replied.returning(col(Post.id)).cte("parent")
    allowed = sa.or_(PARENT_ID.is_(None), sa.exists().select_from(parent))
    counted = sa.update(User).where(IS_VIEWER, allowed)
    counted = counted.values(post_count=User.post_count + 1)
    author = counted.returning(*AUTHOR_COLUMNS).cte("author")
    text = sa.bindparam("text", type_=sa.Text)
    values = sa.select(text, VIEWER_ID, PARENT_ID).select_from(author)
    names = ["text", "user_id", "parent_id"]
    post = sa.insert(Post).from_select(names, values, include_defaults=False)
    stored = post.returning(*sa.inspect(Post).columns).cte("stored")
    columns = response_columns(
        stored,
        list(author.c),
        liked=sa.false(),
        reposted=sa.false(),
        bookmarked=sa.false(),
    )
    return sa.select(*columns).select_from(stored).join(author, sa.true())


def update_text() -> sa.Update:
    """Replace the text of the post `post_id`, if it is still `old_text`, by `new_text`."""
    changed = sa.update(Post).where(col(Post.id) == POST_ID, col(Post.text) == OLD_TEXT)
    changed = changed.values(text=sa.bindparam("new_text", type_=sa.Text), edited_at=sa.func.now())
    return changed.returning(col(Post.text), col(Post.edited_at))


def delete_or_move_post(removal: sa.Delete | sa.Update) -> AnySelect:
    """Apply a removal to the post `post_id`, if its text is still `old_text`, and return its id.

    The post no longer counts for its author, or as a reply to its parent.
    """
    before = sa.select(col(Post.user_id), col(Post.parent_id)).where(col(Post.id) == POST_ID)
    post = before.cte("post_before")
    # First the author, then the post, then its parent: see docs/decisions/0006-counters.md.
    user = sa.select(col(User.id)).where(col(User.id) == post.c.user_id, NOT_DELETED)
    author = user.with_for_update(key_share=True).cte("author")
    removal = removal.where(col(Post.id) == POST_ID, col(Post.text) == OLD_TEXT)
    removal = removal.where(col(Post.user_id) == author.c.id)
    removed = removal.returning(col(Post.id)).cte("removed")
    written = sa.update(User).where(col(User.id) == author.c.id, removed.c.id == POST_ID)
    written = written.values(post_count=sa.func.greatest(User.post_count - 1, 0))
    replied = sa.update(Post).where(col(Post.id) == post.c.parent_id, removed.c.id == POST_ID)
    replied = replied.values(reply_count=sa.func.greatest(Post.reply_count - 1, 0))
    return sa.select(removed.c.id).add_cte(written.cte("written"), replied.cte("replied"))
