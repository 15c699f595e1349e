"""What superusers do to the accounts of others."""

from typing import Annotated

from fastapi import APIRouter, Depends, HTTPException
from sqlmodel import bindparam, col, update

from pamps.audit import record
from pamps.auth import Address, CurrentUser, Superuser
from pamps.db import Query, Row, Transaction, transaction
from pamps.errors import errors
from pamps.maintenance.deletion import DELETE_ACCOUNT, wake
from pamps.models import User
from pamps.models.columns import id_parameter
from pamps.models.user import NOT_DELETED, user_named
from pamps.routes.user import Name, user_not_found
from pamps.sessions import END_ALL_SESSIONS
from pamps.state import ActiveTransaction

router = APIRouter(
    prefix="/user/{username}", tags=["admin"], responses=errors(401, 403, 404, 429, 503)
)

FIND_USER = Query(
    user_named(bindparam("username")).with_only_columns(col(User.id), col(User.username))
)
SET_DISABLED = Query(
    update(User)
    .where(col(User.id) == id_parameter("user_id"), NOT_DELETED)
    .values(disabled=bindparam("is_disabled"))
)


async def find_user(username: Name) -> Row:
    """Return the id and the name of a user. Raises HTTPException 404."""
    user = await FIND_USER.one(username=username)
    if user is None:
        raise user_not_found()
    return user


NamedUser = Annotated[Row, Depends(find_user)]


@router.delete("/", status_code=204)
async def delete_user(user: NamedUser, actor: Superuser, address: Address) -> None:
    """Delete an account and everything that belongs to it, for good."""
    async with transaction() as own:
        if not await DELETE_ACCOUNT.one(own, account_id=user["id"]):
            raise user_not_found()
        await record(
            own,
            "delete account",
            target_id=user["id"],
            target_name=user["username"],
            actor=actor,
            address=address,
        )
    wake()


@router.post("/disable/", status_code=204, responses=errors(400))
async def disable_user(
    user: NamedUser, actor: Superuser, address: Address, outer: ActiveTransaction
) -> None:
    """Disable an account: it is signed out everywhere and cannot sign in; its posts stay."""
    if user["id"] == actor.id:
        raise HTTPException(400, "You cannot disable yourself")
    async with transaction(outer) as own:
        await _set_disabled(own, user, True, actor, address)
        await END_ALL_SESSIONS.run(own, user_id=user["id"])


@router.delete("/disable/", status_code=204)
async def enable_user(user: NamedUser, actor: Superuser, address: Address) -> None:
    """Let a disabled account sign in again."""
    async with transaction() as own:
        await _set_disabled(own, user, False, actor, address)


async def _set_disabled(
    transaction: Transaction, user: Row, is_disabled: bool, actor: CurrentUser, address: str
) -> None:
    if not await SET_DISABLED.run(transaction, user_id=user["id"], is_disabled=is_disabled):
        raise user_not_found()
    await record(
        transaction,
        "disable account" if is_disabled else "enable account",
        target_id=user["id"],
        target_name=user["username"],
        actor=actor,
        address=address,
    )
