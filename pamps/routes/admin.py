"""What superusers do to the accounts of others."""

from fastapi import APIRouter, HTTPException
from sqlmodel import bindparam, col, update

from pamps import db
from pamps.audit import record_audit
from pamps.auth import Address, Superuser
from pamps.db import Query, Row, Transaction
from pamps.errors import error_responses
from pamps.maintenance.deletion import start_deletion
from pamps.models import User
from pamps.models.account import delete_account
from pamps.models.types import fold_case
from pamps.models.user import IS_NAMED
from pamps.routes.user import Name, user_not_found
from pamps.sessions import END_ALL_SESSIONS
from pamps.state import ActiveTransaction

router = APIRouter(prefix="/user/{username}", tags=["admin"], responses=error_responses(403))

DELETE_NAMED_ACCOUNT = Query(delete_account(IS_NAMED))
SET_DISABLED = Query(
    update(User)
    .where(IS_NAMED)
    .values(disabled=bindparam("is_disabled"))
    .returning(col(User.id), col(User.username))
)


@router.delete("/", status_code=204)
async def delete_user(username: Name, actor: Superuser, address: Address) -> None:
    """Delete an account and everything that belongs to it, for good."""
    async with db.transaction() as transaction:
        user = await DELETE_NAMED_ACCOUNT.first(transaction, username=username)
        if user is None:
            raise user_not_found()
        await record_audit(transaction, "delete account", user, actor, address)
    start_deletion()


@router.post("/disable/", status_code=204, responses=error_responses(400))
async def disable_user(
    username: Name, actor: Superuser, address: Address, transaction: ActiveTransaction
) -> None:
    """Disable an account: it is signed out everywhere and cannot sign in; its posts stay."""
    if username == fold_case(actor.username):
        raise HTTPException(400, "You cannot disable yourself")
    async with db.transaction(transaction) as transaction:
        user = await _set_disabled(transaction, username, True)
        await record_audit(transaction, "disable account", user, actor, address)
        await END_ALL_SESSIONS.execute(transaction, user_id=user["id"])


@router.delete("/disable/", status_code=204)
async def enable_user(username: Name, actor: Superuser, address: Address) -> None:
    """Let a disabled account sign in again."""
    async with db.transaction() as transaction:
        user = await _set_disabled(transaction, username, False)
        await record_audit(transaction, "enable account", user, actor, address)


async def _set_disabled(transaction: Transaction, username: str, is_disabled: bool) -> Row:
    user = await SET_DISABLED.first(transaction, username=username, is_disabled=is_disabled)
    if user is None:
        raise user_not_found()
    return user
