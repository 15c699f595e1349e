"""Bookmarks, which only their owner sees."""

from fastapi import APIRouter, Request, Response
from sqlmodel import col

from pamps.auth import AuthenticatedUser
from pamps.db import Query
from pamps.models import Bookmark
from pamps.models.bookmark import bookmark, unbookmark
from pamps.models.columns import VIEWER_ID
from pamps.models.interaction import InteractionResponse, posts_with
from pamps.models.post import Posts
from pamps.models.types import Id
from pamps.pagination import ActivePage, PaginatedQuery
from pamps.responses import insert_options
from pamps.routes.like import insert_for_post
from pamps.routes.post import post_not_found
from pamps.state import ActiveTransaction

router = APIRouter(tags=["post"])

BOOKMARKED_POSTS = PaginatedQuery(posts_with(Bookmark, VIEWER_ID), col(Bookmark.id))
BOOKMARK = Query(bookmark())
UNBOOKMARK = Query(unbookmark())


@router.post("/post/{post_id}/bookmark/", **insert_options(InteractionResponse))
async def bookmark_post(
    post_id: Id, user: AuthenticatedUser, transaction: ActiveTransaction
) -> Response:
    """Bookmark a post."""
    return await insert_for_post(BOOKMARK, user, post_id, transaction)


@router.delete("/post/{post_id}/bookmark/", status_code=204)
async def unbookmark_post(post_id: Id, user: AuthenticatedUser) -> None:
    """Remove a post from your bookmarks."""
    if await UNBOOKMARK.first(viewer_id=user.id, post_id=post_id) is None:
        raise post_not_found()


@router.get("/user/me/bookmarks/", response_model=Posts)
async def list_bookmarks(request: Request, user: AuthenticatedUser, page: ActivePage) -> Response:
    """List the posts that you bookmarked, the latest bookmark first."""
    return await page.response(request, BOOKMARKED_POSTS, viewer_id=user.id)
