"""Changing the password."""

import logging

from fastapi import APIRouter, HTTPException
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError

from pamps import db, hashing
from pamps.auth import Address, AuthenticatedUser
from pamps.errors import error_responses
from pamps.models.password import NewPassword, PasswordChange
from pamps.models.types import fold_case
from pamps.routes.auth import CREDENTIALS, SET_PASSWORD
from pamps.sessions import END_ALL_SESSIONS
from pamps.throttling import clear_attempts, count_sign_in_attempt
from pamps.tokens import unauthorized

logger = logging.getLogger(__name__)

router = APIRouter(tags=["auth"])


def check_new_password(email: str, username: str, password: str) -> None:
    """Raise RequestValidationError if an account may not have this `new_password`."""
    try:
        NewPassword(email=email, username=username, password=password)
    except ValidationError as error:
        items = [item | {"loc": ("body", "new_password")} for item in error.errors()]
        raise RequestValidationError(items) from None


@router.put("/user/me/password/", status_code=204, responses=error_responses(403))
async def change_password(
    change: PasswordChange, user: AuthenticatedUser, address: Address
) -> None:
    """Change your password. It ends all your sessions; sign in again with the new one."""
    with hashing.queue_place():
        credentials = await CREDENTIALS.first(username=fold_case(user.username))
        if credentials is None or credentials["id"] != user.id:  # deleted since the request began
            raise unauthorized()
        check_new_password(credentials["email"], user.username, change.new_password)
        await count_sign_in_attempt(user.username, address)
        log_extra = {"user_id": user.id, "address": address}
        if not await hashing.check_password(change.current_password, credentials["password"]):
            logger.warning("password change failed", extra=log_extra)
            raise HTTPException(403, "The current password is incorrect")
        new_hash = await hashing.hash_password(change.new_password)
        async with db.transaction() as transaction:
            # Only if it is still the password that was verified.
            hashes = {"old_hash": credentials["password"], "new_hash": new_hash}
            if not await SET_PASSWORD.execute(transaction, user_id=user.id, **hashes):
                raise unauthorized()
            await clear_attempts(transaction, user.username, address)
            await END_ALL_SESSIONS.execute(transaction, user_id=user.id)
    logger.info("password changed", extra=log_extra)
