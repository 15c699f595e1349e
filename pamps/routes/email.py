"""Verifying an e-mail address, by a link in a mail."""

import logging

from fastapi import APIRouter, Response
from sqlmodel import col, select

from pamps.auth import Address, AuthenticatedUser
from pamps.db import Query
from pamps.errors import error_responses
from pamps.language import PreferredLanguage
from pamps.mail.outbox import hash_token, queue_mail
from pamps.models import User
from pamps.models.mail import EmailVerification, verify_email as verify_email_statement
from pamps.models.user import IS_VIEWER
from pamps.routes.password_reset import link_is_dead
from pamps.state import ActiveTransaction
from pamps.throttling import count_mail, count_token_attempt
from pamps.tokens import unauthorized

logger = logging.getLogger(__name__)

router = APIRouter(tags=["auth"])

OWN_EMAIL = Query(select(col(User.email), col(User.email_verified)).where(IS_VIEWER))
VERIFY_EMAIL = Query(verify_email_statement())
IS_VERIFIED = "The address is verified already: no mail is sent."


@router.post(
    "/user/me/email/verify/",
    status_code=202,
    response_class=Response,
    responses={204: {"description": IS_VERIFIED}},
)
async def send_verification_link(
    user: AuthenticatedUser,
    address: Address,
    language: PreferredLanguage,
    transaction: ActiveTransaction,
) -> Response:
    """Ask for a mail with a link that verifies your e-mail address."""
    own = await OWN_EMAIL.first(viewer_id=user.id)
    if own is None:
        raise unauthorized()
    if own["email_verified"]:
        return Response(status_code=204)
    await count_mail(own["email"], address)
    await queue_mail(transaction, "verify_email", own["email"], language, user.id)
    return Response(status_code=202)


@router.post("/email/verify/", status_code=204, responses=error_responses(403))
async def verify_email(
    verification: EmailVerification, address: Address, transaction: ActiveTransaction
) -> None:
    """Verify an e-mail address with the token from a mail, in whatever browser it is opened.

    A token can be used once, within a day, and until the e-mail address changes.
    """
    await count_token_attempt(address)
    token_hash = hash_token(verification.token)
    user = await VERIFY_EMAIL.first(transaction, token_hash=token_hash)
    if user is None:
        raise link_is_dead()
    logger.info("e-mail address verified", extra={"user_id": user["id"], "address": address})
