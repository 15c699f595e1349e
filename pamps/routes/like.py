"""Likes."""

from fastapi import APIRouter, Request, Response
from sqlmodel import col

from pamps.auth import OPTIONAL_SIGN_IN, AuthenticatedUser, OptionalUser
from pamps.db import Query
from pamps.errors import error_responses
from pamps.models import Like
from pamps.models.like import LikeResponse, like, liked_posts, likers, unlike
from pamps.models.post import Posts
from pamps.models.types import Id
from pamps.models.user import Users
from pamps.pagination import ActivePage, PaginatedQuery
from pamps.responses import insert_response
from pamps.routes.post import EXISTING_POST, post_not_found, refused_for_post
from pamps.routes.user import NAMED_USER, Name
from pamps.state import ActiveTransaction

router = APIRouter(prefix="/post", tags=["post"])

LIKED_POSTS = PaginatedQuery(liked_posts(NAMED_USER.id), col(Like.id), parent=NAMED_USER)
LIKERS = PaginatedQuery(likers(EXISTING_POST.id), col(Like.id), parent=EXISTING_POST)
LIKE = Query(like())
UNLIKE = Query(unlike())

LIKED_ALREADY = {"model": LikeResponse, "description": "You like it already."}


@router.get("/likes/{username}/", response_model=Posts, **OPTIONAL_SIGN_IN)
async def list_liked_posts(
    username: Name, request: Request, page: ActivePage, user: OptionalUser
) -> Response:
    """List the posts that a user likes, the latest like first."""
    return await page.response(request, LIKED_POSTS, viewer_id=user and user.id, username=username)


@router.post(
    "/{post_id}/like/",
    status_code=201,
    response_model=LikeResponse,
    responses={200: LIKED_ALREADY, **error_responses(403)},
)
async def like_post(
    post_id: Id, user: AuthenticatedUser, transaction: ActiveTransaction
) -> Response:
    """Like a post."""
    liked = await LIKE.first(transaction, viewer_id=user.id, post_id=post_id)
    if liked is None:
        raise await refused_for_post(user, post_id, transaction)
    return insert_response(liked)


@router.delete("/{post_id}/like/", status_code=204)
async def unlike_post(post_id: Id, user: AuthenticatedUser) -> None:
    """Like a post no longer."""
    if await UNLIKE.first(viewer_id=user.id, post_id=post_id) is None:
        raise post_not_found()


@router.get("/{post_id}/likes/", response_model=Users)
async def list_likers(post_id: Id, request: Request, page: ActivePage) -> Response:
    """List who likes a post, the latest like first."""
    return await page.response(request, LIKERS, post_id=post_id)
