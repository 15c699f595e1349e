"""The audit trail: what superusers do in the API."""

import logging

from sqlalchemy import Text, bindparam, insert, select

from pamps.auth import CurrentUser
from pamps.db import Query, Transaction
from pamps.models import Audit
from pamps.models.columns import Column, id_parameter

logger = logging.getLogger(__name__)

TEXTS = ["actor", "action", "target", "address"]
IDS = ["actor_id", "target_id"]
VALUES: list[Column] = [*map(id_parameter, IDS), *[bindparam(name, type_=Text) for name in TEXTS]]
INSERT = Query(insert(Audit).from_select([*IDS, *TEXTS], select(*VALUES), include_defaults=False))


async def record(
    transaction: Transaction,
    action: str,
    *,
    target_id: int,
    target_name: str,
    actor: CurrentUser,
    address: str,
) -> None:
    """Log what a superuser does to an account, and store it within the transaction that does it."""
    logger.info(action, extra={"user_id": target_id, "actor_id": actor.id})
    await INSERT.run(
        transaction,
        actor_id=actor.id,
        actor=actor.username,
        action=action,
        target_id=target_id,
        target=target_name,
        address=address,
    )
