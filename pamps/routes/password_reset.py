"""A new password for somebody who has forgotten it, by a link in a mail."""

import logging

from fastapi import APIRouter, HTTPException, Response

from pamps import db, hashing
from pamps.auth import Address
from pamps.db import Query
from pamps.errors import error_responses
from pamps.language import PreferredLanguage
from pamps.mail.outbox import hash_token, queue_mail
from pamps.models.mail import reset_password as reset_password_statement, user_of_reset_token
from pamps.models.password import ForgottenPassword, PasswordReset
from pamps.routes.password import check_new_password
from pamps.sessions import END_ALL_SESSIONS
from pamps.state import ActiveTransaction
from pamps.throttling import (
    CLEAR_ACCOUNT_ATTEMPTS,
    account_key,
    count_mail,
    count_token_attempt,
)

logger = logging.getLogger(__name__)

router = APIRouter(prefix="/password", tags=["auth"])

USER_OF_TOKEN = Query(user_of_reset_token())
RESET_PASSWORD = Query(reset_password_statement())


def link_is_dead() -> HTTPException:
    """Return the response to every token that is not, or no longer, good for anything."""
    return HTTPException(403, "This link has expired or was used; ask for another")


@router.post("/forgot/", status_code=202, response_class=Response)
async def forgot_password(
    forgotten: ForgottenPassword,
    address: Address,
    language: PreferredLanguage,
    transaction: ActiveTransaction,
) -> Response:
    """Ask for a mail with a link to choose a new password.

    The response is the same whether somebody has the address or not.
    """
    await count_mail(forgotten.email, address)
    # Whose address it is, if anybody's, is looked up when the mail is sent: so this takes the same
    # time for all.
    await queue_mail(transaction, "reset_password", forgotten.email, language)
    return Response(status_code=202)


@router.post("/reset/", status_code=204, responses=error_responses(403))
async def reset_password(
    reset: PasswordReset, address: Address, transaction: ActiveTransaction
) -> None:
    """Choose a new password with the token from a mail. It ends all your sessions.

    A token can be used once, within an hour, and until the password or the e-mail address changes.
    """
    with hashing.queue_place():
        await count_token_attempt(address)
        token_hash = hash_token(reset.token)
        user = await USER_OF_TOKEN.first(token_hash=token_hash)
        if user is None:
            raise link_is_dead()
        check_new_password(user["email"], user["username"], reset.new_password)
        new_hash = await hashing.hash_password(reset.new_password)
        async with db.transaction(transaction) as transaction:
            user = await RESET_PASSWORD.first(transaction, token_hash=token_hash, new_hash=new_hash)
            if user is None:  # used, or not good any more, since it was looked up
                raise link_is_dead()
            await END_ALL_SESSIONS.execute(transaction, user_id=user["id"])
            # Whoever has guessed at the old password is no reason to refuse the new one.
            subject = account_key(user["username"])
            await CLEAR_ACCOUNT_ATTEMPTS.execute(transaction, subject=subject)
    logger.info("password reset", extra={"user_id": user["id"], "address": address})
