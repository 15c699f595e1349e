"""Blocks."""

from fastapi import APIRouter, HTTPException, Request, Response
from sqlmodel import col

from pamps import db
from pamps.auth import AuthenticatedUser, CurrentUser, check_session
from pamps.db import Query, Transaction
from pamps.errors import error_responses
from pamps.models import Block
from pamps.models.block import block
from pamps.models.columns import VIEWER_ID
from pamps.models.pair import SocialResponse, delete_pair, lock_pair, paired_users
from pamps.models.types import Id
from pamps.models.user import Users
from pamps.pagination import ActivePage, PaginatedQuery
from pamps.responses import insert_options, insert_response
from pamps.routes.user import user_not_found
from pamps.state import ActiveTransaction

router = APIRouter(prefix="/user", tags=["user"])

LOCK_PAIR = Query(lock_pair())
BLOCK = Query(block())
UNBLOCK = Query(delete_pair(Block))
BLOCKED_USERS = PaginatedQuery(paired_users(Block, VIEWER_ID), col(Block.id))


async def insert_for_user(
    query: Query, user: CurrentUser, user_id: int, outer: Transaction | None
) -> Response:
    """Insert a block or a mute of another user, and respond with it.

    Raises HTTPException 400 for the user themselves, 401, and 404.
    """
    if user_id == user.id:
        raise HTTPException(400, "You cannot do this to yourself")
    async with db.transaction(outer) as transaction:
        await LOCK_PAIR.execute(transaction, viewer_id=user.id, user_id=user_id)
        row = await query.first(transaction, viewer_id=user.id, user_id=user_id)
    if row is None:
        await check_session(user, outer)
        raise user_not_found()
    return insert_response(row)


@router.post("/block/{user_id}", **insert_options(SocialResponse, error_responses(400)))
async def block_user(
    user_id: Id, user: AuthenticatedUser, transaction: ActiveTransaction
) -> Response:
    """Block a user, which ends the follows between you."""
    return await insert_for_user(BLOCK, user, user_id, transaction)


@router.delete("/block/{user_id}", status_code=204)
async def unblock_user(user_id: Id, user: AuthenticatedUser) -> None:
    """Block a user no longer."""
    if await UNBLOCK.first(viewer_id=user.id, user_id=user_id) is None:
        raise user_not_found()


@router.get("/me/blocks/", response_model=Users)
async def list_blocks(request: Request, user: AuthenticatedUser, page: ActivePage) -> Response:
    """List the users whom you block, the latest block first."""
    return await page.response(request, BLOCKED_USERS, viewer_id=user.id)
