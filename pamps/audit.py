"""The audit trail: what superusers do in the API, and administrators at a terminal."""

import logging
import os
import pwd
from typing import TYPE_CHECKING

from sqlmodel import Session, bindparam, insert

from pamps.db import Query, Row, Transaction
from pamps.models import Audit, User

if TYPE_CHECKING:  # as the command line needs no FastAPI
    from pamps.auth import CurrentUser

logger = logging.getLogger(__name__)

COLUMNS = "actor_id", "actor", "action", "target_id", "target", "address"
INSERT_AUDIT = Query(insert(Audit).values({name: bindparam(name) for name in COLUMNS}))


def _row(
    action: str, target_id: int, target: str, actor: "CurrentUser | None", address: str
) -> Row:
    logger.info(action, extra={"user_id": target_id, "actor_id": actor and actor.id})
    return {
        "actor_id": actor and actor.id,
        "actor": actor.username if actor else _terminal_user(),
        "action": action,
        "target_id": target_id,
        "target": target,
        "address": address,
    }


async def record_audit(
    transaction: Transaction, action: str, target: Row, actor: "CurrentUser", address: str
) -> None:
    """Log what a superuser does to the user `target`, and store it in the transaction that does it.

    The row `target` has the `id` and the `username` of that user.
    """
    row = _row(action, target["id"], target["username"], actor, address)
    await INSERT_AUDIT.execute(transaction, **row)


def record_at_terminal(session: Session, action: str, target: User) -> None:
    """Log what an administrator does at a terminal, and store it with what the session commits."""
    session.add(Audit(**_row(action, target.id, target.username, None, "terminal")))


def _terminal_user() -> str:
    """Return the owner of this process, which no environment variable can forge."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:  # as in a container whose user has no name
        return f"uid {os.getuid()}"
