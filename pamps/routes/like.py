"""Likes."""

from fastapi import APIRouter, Request, Response
from sqlmodel import col

from pamps.auth import OPTIONAL_SIGN_IN, AuthenticatedUser, CurrentUser, OptionalUser
from pamps.db import Query, Transaction
from pamps.errors import error_responses
from pamps.models import Like, Post
from pamps.models.interaction import (
    InteractionResponse,
    delete_counted,
    insert_counted,
    posts_with,
    users_with,
)
from pamps.models.post import Posts
from pamps.models.types import Id
from pamps.models.user import Users
from pamps.pagination import ActivePage, PaginatedQuery
from pamps.responses import insert_options, insert_response
from pamps.routes.post import EXISTING_POST, post_not_found, refused_for_post
from pamps.routes.user import NAMED_USER, Name
from pamps.state import ActiveTransaction

router = APIRouter(prefix="/post", tags=["post"])

LIKED_POSTS = PaginatedQuery(posts_with(Like, NAMED_USER.id), col(Like.id), parent=NAMED_USER)
LIKERS = PaginatedQuery(users_with(Like, EXISTING_POST.id), col(Like.id), parent=EXISTING_POST)
LIKE = Query(insert_counted(Like, col(Post.like_count), "like"))
UNLIKE = Query(delete_counted(Like, col(Post.like_count), "like"))


async def insert_for_post(
    query: Query, user: CurrentUser, post_id: int, transaction: Transaction | None
) -> Response:
    """Insert a row of a user for a post, such as a like, and respond with it.

    Raises HTTPException 401, 403, 404.
    """
    row = await query.first(transaction, viewer_id=user.id, post_id=post_id)
    if row is None:
        raise await refused_for_post(user, post_id, transaction)
    return insert_response(row)


@router.get("/likes/{username}/", response_model=Posts, **OPTIONAL_SIGN_IN)
async def list_liked_posts(
    username: Name, request: Request, page: ActivePage, user: OptionalUser
) -> Response:
    """List the posts that a user likes, the latest like first."""
    return await page.response(request, LIKED_POSTS, viewer_id=user and user.id, username=username)


@router.post("/{post_id}/like/", **insert_options(InteractionResponse, error_responses(403)))
async def like_post(
    post_id: Id, user: AuthenticatedUser, transaction: ActiveTransaction
) -> Response:
    """Like a post."""
    return await insert_for_post(LIKE, user, post_id, transaction)


@router.delete("/{post_id}/like/", status_code=204)
async def unlike_post(post_id: Id, user: AuthenticatedUser) -> None:
    """Like a post no longer."""
    if await UNLIKE.first(viewer_id=user.id, post_id=post_id) is None:
        raise post_not_found()


@router.get("/{post_id}/likes/", response_model=Users)
async def list_likers(post_id: Id, request: Request, page: ActivePage) -> Response:
    """List who likes a post, the latest like first."""
    return await page.response(request, LIKERS, post_id=post_id)
