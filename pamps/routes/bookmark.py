"""Bookmarks, which only their owner sees."""

from fastapi import APIRouter, Request, Response
from sqlmodel import col

from pamps.auth import AuthenticatedUser, check_session
from pamps.db import Query
from pamps.models import Bookmark
from pamps.models.bookmark import BookmarkResponse, bookmark, bookmarked_posts, unbookmark
from pamps.models.post import Posts
from pamps.models.types import Id
from pamps.pagination import ActivePage, PaginatedQuery
from pamps.responses import insert_response
from pamps.routes.post import post_not_found
from pamps.state import ActiveTransaction

router = APIRouter(tags=["post"])

BOOKMARKED_POSTS = PaginatedQuery(bookmarked_posts(), col(Bookmark.id))
BOOKMARK = Query(bookmark())
UNBOOKMARK = Query(unbookmark())

BOOKMARKED_ALREADY = {"model": BookmarkResponse, "description": "You bookmarked it already."}


@router.post(
    "/post/{post_id}/bookmark/",
    status_code=201,
    response_model=BookmarkResponse,
    responses={200: BOOKMARKED_ALREADY},
)
async def bookmark_post(
    post_id: Id, user: AuthenticatedUser, transaction: ActiveTransaction
) -> Response:
    """Bookmark a post."""
    bookmarked = await BOOKMARK.first(transaction, viewer_id=user.id, post_id=post_id)
    if bookmarked is None:
        await check_session(user, transaction)
        raise post_not_found()
    return insert_response(bookmarked)


@router.delete("/post/{post_id}/bookmark/", status_code=204)
async def unbookmark_post(post_id: Id, user: AuthenticatedUser) -> None:
    """Remove a post from your bookmarks."""
    if await UNBOOKMARK.first(viewer_id=user.id, post_id=post_id) is None:
        raise post_not_found()


@router.get("/user/me/bookmarks/", response_model=Posts)
async def list_bookmarks(request: Request, user: AuthenticatedUser, page: ActivePage) -> Response:
    """List the posts that you bookmarked, the latest bookmark first."""
    return await page.response(request, BOOKMARKED_POSTS, viewer_id=user.id)
