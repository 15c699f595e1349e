"""Posts and replies."""

from functools import partial
from typing import Annotated, Literal, Self

from fastapi import APIRouter, Depends, HTTPException, Query as QueryParameters, Request, Response
from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError
from sqlmodel import col

from pamps import db
from pamps.audit import record_audit
from pamps.auth import (
    OPTIONAL_SIGN_IN,
    Address,
    AuthenticatedUser,
    CurrentUser,
    OptionalUser,
    check_session,
    require_fresh,
)
from pamps.db import Query, Row, Transaction
from pamps.entities import find_entities
from pamps.errors import error_responses
from pamps.maintenance.deletion import MANY_REFERENCES, start_deletion
from pamps.models import Post
from pamps.models.account import move_post_to_deleted_account
from pamps.models.post import (
    POST_ID,
    PostPatch,
    PostRequest,
    PostResponse,
    PostResponseWithReplies,
    Posts,
    existing_post,
    posts,
    thread,
)
from pamps.models.post_writes import delete_locked_post, insert_post, lock_post, update_text
from pamps.models.types import Id
from pamps.models.visibility import visible_to_viewer
from pamps.pagination import (
    DEFAULT_LIMIT,
    ActivePage,
    NewestFirstPage,
    OldestFirstPage,
    PaginatedQuery,
    Parent,
    link_header,
)
from pamps.paths import reference
from pamps.replica_reader import ReplicaReader
from pamps.responses import check_precondition, conditional_response, etag_header, json_response
from pamps.routes.user import NAMED_USER, Name, blocked
from pamps.state import ActiveTransaction, request_state

router = APIRouter(prefix="/post", tags=["post"])

# The fields that If-Match protects.
IF_MATCH_FIELDS = ("id", "text")


def post_not_found() -> HTTPException:
    return HTTPException(404, "Post not found")


async def refused_for_post(
    user: CurrentUser, post_id: int | None, transaction: Transaction | None
) -> HTTPException:
    """Return why a statement stored nothing for a post: there is no such post, or there is a block.

    Raises HTTPException 401 if the session has ended.
    """
    await check_session(user, transaction)
    post = await FIND_POST.first(transaction, post_id=post_id)
    return blocked() if post else post_not_found()


EXISTING_POST = Parent(existing_post(), post_not_found)
IS_VISIBLE = visible_to_viewer(col(Post.user_id), include_muted=True)
VISIBLE_POST = Parent(existing_post().where(IS_VISIBLE), post_not_found)
NOT_A_REPLY = col(Post.parent_id).is_(None)
POSTS_OF_USER = posts(include_muted=True).where(col(Post.user_id) == NAMED_USER.id)
WITHOUT_REPLIES = POSTS_OF_USER.where(NOT_A_REPLY)

HOME_POSTS = PaginatedQuery(posts().where(NOT_A_REPLY), col(Post.id))
user_posts = partial(PaginatedQuery, key=col(Post.id), parent=NAMED_USER)
# By whether replies are among them, and by which post is first.
USER_POSTS = {
    (True, "oldest"): user_posts(POSTS_OF_USER, newest_first=False),
    (True, "newest"): user_posts(POSTS_OF_USER),
    (False, "oldest"): user_posts(WITHOUT_REPLIES, newest_first=False),
    (False, "newest"): user_posts(WITHOUT_REPLIES),
}
REPLIES_TO = posts().where(col(Post.parent_id) == VISIBLE_POST.id)
REPLIES = PaginatedQuery(REPLIES_TO, col(Post.id), newest_first=False, parent=VISIBLE_POST)
THREAD = Query(thread(replies=DEFAULT_LIMIT + 1))
FIND_POST = Query(existing_post())
READ_POST = Query(posts(include_muted=True).where(col(Post.id) == POST_ID))
INSERT_POST = Query(insert_post())
UPDATE_TEXT = Query(update_text())
LOCK_POST = Query(lock_post())
DELETE_POST = Query(delete_locked_post())
DELETE_IN_BATCHES = Query(move_post_to_deleted_account())


async def read_thread(
    post_id: int, viewer: CurrentUser | None, reads: ReplicaReader | None = None
) -> tuple[Row, int | None]:
    """Return a post with its first replies, and the cursor of the others if there are more.

    Raises HTTPException 404.
    """
    rows = await THREAD.all(reads, viewer_id=viewer and viewer.id, post_id=post_id)
    if not rows or rows[0]["id"] != post_id:
        raise post_not_found()
    post, *replies = rows
    post["replies"] = replies[:DEFAULT_LIMIT]
    return post, replies[DEFAULT_LIMIT - 1]["id"] if len(replies) > DEFAULT_LIMIT else None


@router.get("/", response_model=Posts, **OPTIONAL_SIGN_IN)
async def list_posts(request: Request, page: ActivePage, user: OptionalUser) -> Response:
    """List the posts of everybody, without replies, the newest first."""
    return await page.response(request, HOME_POSTS, viewer_id=user and user.id)


def entity_parameters(text: str) -> dict[str, list[str] | None]:
    """Return the names and hashtags in a text as parameters of a query."""
    return {name: found or None for name, found in find_entities(text)._asdict().items()}


@router.post("/", status_code=201, response_model=PostResponse, responses=error_responses(403, 404))
async def create_post(
    post: PostRequest, user: AuthenticatedUser, transaction: ActiveTransaction, request: Request
) -> Response:
    """Write a post or, with `parent_id`, a reply."""
    values = post.model_dump() | entity_parameters(post.text)
    created = await INSERT_POST.first(transaction, viewer_id=user.id, **values)
    if created is None:
        raise await refused_for_post(user, post.parent_id, transaction)
    headers = etag_header(created | {"replies": []}, protected=IF_MATCH_FIELDS)
    headers["Location"] = reference(request, f"{created['id']}/")
    return json_response(created, 201, headers)


class UserPostsPage(NewestFirstPage):
    """The page of a user's posts that a request asks for."""

    include_replies: bool = False
    order: Annotated[Literal["oldest", "newest"], Field(description="What is first.")] = "oldest"

    @model_validator(mode="after")
    def _check_order(self) -> Self:
        if self.newer_than is not None and self.order == "oldest":
            raise PydanticCustomError("newer_than", "newer_than is only for order=newest")
        return self


@router.get("/user/{username}/", response_model=Posts, **OPTIONAL_SIGN_IN)
async def get_posts_by_username(
    username: Name,
    request: Request,
    page: Annotated[UserPostsPage, QueryParameters()],
    user: OptionalUser,
) -> Response:
    """List a user's posts, the oldest first."""
    query = USER_POSTS[page.include_replies, page.order]
    return await page.response(request, query, viewer_id=user and user.id, username=username)


@router.get("/{post_id}/", response_model=PostResponseWithReplies, **OPTIONAL_SIGN_IN)
async def get_post_by_post_id(post_id: Id, request: Request, user: OptionalUser) -> Response:
    """Show a post with the first page of its replies; `Link` leads to the others."""
    post, cursor = await read_thread(post_id, user, request_state(request.scope).reads)
    positions = {"next": f"cursor={cursor}"} if cursor else {}
    links = link_header(f"{reference(request, 'replies/')}?", positions)
    return conditional_response(request, post, links, cursor, IF_MATCH_FIELDS)


@router.get("/{post_id}/replies/", response_model=Posts, **OPTIONAL_SIGN_IN)
async def list_replies(
    post_id: Id, request: Request, page: OldestFirstPage, user: OptionalUser
) -> Response:
    """List the replies to a post, the oldest first."""
    return await page.response(request, REPLIES, viewer_id=user and user.id, post_id=post_id)


async def get_own_post(post_id: Id, user: AuthenticatedUser) -> tuple[Row, int | None]:
    """Return the thread of a post of the current user. Raises HTTPException 403, 404."""
    post, cursor = await read_thread(post_id, user)
    if post["user_id"] != user.id:
        raise not_yours()
    return post, cursor


def not_yours() -> HTTPException:
    return HTTPException(403, "This post is not yours")


@router.patch("/{post_id}/", response_model=PostResponse, responses=error_responses(403, 412))
async def update_post(
    patch: PostPatch,
    own_thread: Annotated[tuple[Row, int | None], Depends(get_own_post)],
    user: AuthenticatedUser,
    request: Request,
) -> Response:
    """Change the text of your post; with `If-Match` only if that text is still the same."""
    post, cursor = own_thread
    entities = entity_parameters(patch.text)
    changed = None
    while changed is None:
        check_precondition(request, post, IF_MATCH_FIELDS)
        values = {**entities, "old_text": post["text"], "new_text": patch.text}
        changed = await UPDATE_TEXT.first(viewer_id=user.id, post_id=post["id"], **values)
        if changed is None:  # It was edited or deleted after it was read.
            post, cursor = await read_thread(post["id"], user)
    post |= changed
    etag = etag_header(post, cursor, IF_MATCH_FIELDS)
    del post["replies"]
    return json_response(post, 200, etag)


@router.delete("/{post_id}/", status_code=204, responses=error_responses(403, 412))
async def delete_post(
    post_id: Id, user: AuthenticatedUser, address: Address, request: Request
) -> None:
    """Delete your post for good, or as a superuser anybody's; the replies to it stay."""
    deleted = None
    # Superusers may delete posts of users who block them.
    viewer_id = None if user.superuser else user.id
    while deleted is None:  # Retry if the post was edited after it was read.
        post = await READ_POST.first(viewer_id=viewer_id, post_id=post_id)
        if post is None:
            raise post_not_found()
        is_own = post["user_id"] == user.id
        if not is_own:
            if not user.superuser:
                raise not_yours()
            require_fresh(user)
        check_precondition(request, post, IF_MATCH_FIELDS)
        is_famous = post["like_count"] + post["repost_count"] >= MANY_REFERENCES
        query = DELETE_IN_BATCHES if is_famous else DELETE_POST
        async with db.transaction() as transaction:
            await LOCK_POST.execute(transaction, post_id=post_id)
            deleted = await query.first(transaction, post_id=post_id, old_text=post["text"])
            if deleted and not is_own:
                action = f"delete post {post_id}"
                await record_audit(transaction, action, post["user"], user, address)
        if is_famous:
            start_deletion()
