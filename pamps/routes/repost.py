"""Reposts."""

from fastapi import APIRouter, Request, Response
from sqlmodel import col

from pamps.auth import AuthenticatedUser
from pamps.db import Query
from pamps.errors import error_responses
from pamps.models import Repost
from pamps.models.interaction import InteractionResponse, users_with
from pamps.models.repost import repost, undo_repost
from pamps.models.types import Id
from pamps.models.user import Users
from pamps.pagination import ActivePage, PaginatedQuery
from pamps.responses import insert_options
from pamps.routes.like import insert_for_post
from pamps.routes.post import EXISTING_POST, post_not_found
from pamps.state import ActiveTransaction

router = APIRouter(prefix="/post/{post_id}", tags=["post"])

REPOST = Query(repost())
UNDO_REPOST = Query(undo_repost())
REPOSTERS = PaginatedQuery(
    users_with(Repost, EXISTING_POST.id), col(Repost.id), parent=EXISTING_POST
)


@router.post("/repost/", **insert_options(InteractionResponse, error_responses(403)))
async def repost_post(
    post_id: Id, user: AuthenticatedUser, transaction: ActiveTransaction
) -> Response:
    """Repost a post: show it in the timelines of your followers."""
    return await insert_for_post(REPOST, user, post_id, transaction)


@router.delete("/repost/", status_code=204)
async def undo_repost_of_post(post_id: Id, user: AuthenticatedUser) -> None:
    """Undo your repost of a post."""
    if await UNDO_REPOST.first(viewer_id=user.id, post_id=post_id) is None:
        raise post_not_found()


@router.get("/reposts/", response_model=Users)
async def list_reposters(post_id: Id, request: Request, page: ActivePage) -> Response:
    """List who has reposted a post, the latest repost first."""
    return await page.response(request, REPOSTERS, post_id=post_id)
