"""Mutes."""

from fastapi import APIRouter, Request, Response
from sqlmodel import col

from pamps.auth import AuthenticatedUser
from pamps.db import Query
from pamps.errors import error_responses
from pamps.models import Mute
from pamps.models.columns import VIEWER_ID
from pamps.models.mute import mute
from pamps.models.pair import SocialResponse, delete_pair, paired_users
from pamps.models.types import Id
from pamps.models.user import Users
from pamps.pagination import ActivePage, PaginatedQuery
from pamps.responses import insert_options
from pamps.routes.block import insert_for_user
from pamps.routes.user import user_not_found
from pamps.state import ActiveTransaction

router = APIRouter(prefix="/user", tags=["user"])

MUTE = Query(mute())
UNMUTE = Query(delete_pair(Mute))
MUTED_USERS = PaginatedQuery(paired_users(Mute, VIEWER_ID), col(Mute.id))


@router.post("/mute/{user_id}", **insert_options(SocialResponse, error_responses(400)))
async def mute_user(
    user_id: Id, user: AuthenticatedUser, transaction: ActiveTransaction
) -> Response:
    """Mute a user: hide their posts from your home, timeline, replies, search and notifications."""
    return await insert_for_user(MUTE, user, user_id, transaction)


@router.delete("/mute/{user_id}", status_code=204)
async def unmute_user(user_id: Id, user: AuthenticatedUser) -> None:
    """Mute a user no longer."""
    if await UNMUTE.first(viewer_id=user.id, user_id=user_id) is None:
        raise user_not_found()


@router.get("/me/mutes/", response_model=Users)
async def list_mutes(request: Request, user: AuthenticatedUser, page: ActivePage) -> Response:
    """List the users whom you mute, the latest mute first."""
    return await page.response(request, MUTED_USERS, viewer_id=user.id)
