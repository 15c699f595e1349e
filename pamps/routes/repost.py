"""Reposts."""

from fastapi import APIRouter, Request, Response
from sqlmodel import col

from pamps.auth import AuthenticatedUser
from pamps.db import Query
from pamps.errors import error_responses
from pamps.models import Repost
from pamps.models.repost import RepostResponse, repost, reposters, undo_repost
from pamps.models.types import Id
from pamps.models.user import Users
from pamps.pagination import ActivePage, PaginatedQuery
from pamps.responses import insert_response
from pamps.routes.post import EXISTING_POST, post_not_found, refused_for_post
from pamps.state import ActiveTransaction

router = APIRouter(prefix="/post/{post_id}", tags=["post"])

REPOST = Query(repost())
UNDO_REPOST = Query(undo_repost())
REPOSTERS = PaginatedQuery(reposters(EXISTING_POST.id), col(Repost.id), parent=EXISTING_POST)

REPOSTED_ALREADY = {"model": RepostResponse, "description": "You reposted it already."}


@router.post(
    "/repost/",
    status_code=201,
    response_model=RepostResponse,
    responses={200: REPOSTED_ALREADY, **error_responses(403)},
)
async def repost_post(
    post_id: Id, user: AuthenticatedUser, transaction: ActiveTransaction
) -> Response:
    """Repost a post: show it in the timelines of your followers."""
    reposted = await REPOST.first(transaction, viewer_id=user.id, post_id=post_id)
    if reposted is None:
        raise await refused_for_post(user, post_id, transaction)
    return insert_response(reposted)


@router.delete("/repost/", status_code=204)
async def undo_repost_of_post(post_id: Id, user: AuthenticatedUser) -> None:
    """Undo your repost of a post."""
    if await UNDO_REPOST.first(viewer_id=user.id, post_id=post_id) is None:
        raise post_not_found()


@router.get("/reposts/", response_model=Users)
async def list_reposters(post_id: Id, request: Request, page: ActivePage) -> Response:
    """List who has reposted a post, the latest repost first."""
    return await page.response(request, REPOSTERS, post_id=post_id)
