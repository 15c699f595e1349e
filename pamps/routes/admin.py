from anyio import from_thread
from fastapi import APIRouter, HTTPException
from sqlmodel import Session, col, update

from pamps.auth import Address, Superuser
from pamps.errors import errors
from pamps.legacy import ActiveSession
from pamps.maintenance.deletion import DELETE_ACCOUNT, wake
from pamps.models import User
from pamps.models.session import end_sessions, record
from pamps.models.user import NOT_DELETED
from pamps.routes.user import NamedUser, user_not_found

router = APIRouter(
    prefix="/user/{username}", tags=["admin"], responses=errors(401, 403, 404, 429, 503)
)


@router.delete("/", status_code=204)
def delete_user(
    user: NamedUser, actor: Superuser, address: Address, session: ActiveSession
) -> None:
    """Delete an account with all that is its user's, for good."""
    audit = record("delete account", user, actor, address)
    if not session.execute(DELETE_ACCOUNT.statement, {"account_id": user.id}).first():
        raise user_not_found()
    session.add(audit)
    session.commit()
    from_thread.run_sync(wake)


@router.post("/disable/", status_code=204, responses=errors(400))
def disable_user(
    user: NamedUser, actor: Superuser, address: Address, session: ActiveSession
) -> None:
    """Disable an account: it is signed out everywhere and cannot sign in; its posts stay."""
    if user.id == actor.id:
        raise HTTPException(400, "You cannot disable yourself")
    _set_disabled(session, user, True)
    end_sessions(session, user.id)
    session.add(record("disable account", user, actor, address))
    session.commit()


@router.delete("/disable/", status_code=204)
def enable_user(
    user: NamedUser, actor: Superuser, address: Address, session: ActiveSession
) -> None:
    """Let a disabled account sign in again."""
    _set_disabled(session, user, False)
    session.add(record("enable account", user, actor, address))
    session.commit()


def _set_disabled(session: Session, user: User, disabled: bool) -> None:
    change = update(User).where(col(User.id) == user.id, NOT_DELETED).values(disabled=disabled)
    if not session.exec(change).rowcount:
        raise user_not_found()
