"""Users and their profiles."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated

from fastapi import APIRouter, HTTPException, Path, Request, Response
from pydantic import AfterValidator
from sqlmodel import col, select

from pamps import db, hashing
from pamps.audit import record_audit
from pamps.auth import (
    OPTIONAL_SIGN_IN,
    Address,
    AuthenticatedUser,
    CurrentUser,
    FreshUser,
    OptionalUser,
    require_fresh,
)
from pamps.db import Query, Row, Source, Transaction
from pamps.errors import error_responses
from pamps.language import PreferredLanguage
from pamps.mail import ENABLED as MAIL_ENABLED
from pamps.mail.outbox import queue_mail
from pamps.maintenance.deletion import DELETE_ACCOUNT, start_deletion
from pamps.models import User
from pamps.models.types import SafeText, fold_case
from pamps.models.user import (
    IS_NAMED,
    UserMe,
    UserPatch,
    UserProfile,
    UserRequest,
    UserResponse,
    Users,
    insert_user,
    named_profile,
    own_profile,
    update_user,
    users,
)
from pamps.pagination import OldestFirstPage, PaginatedQuery, Parent
from pamps.paths import reference
from pamps.responses import check_precondition, conditional_response, etag_header, json_response
from pamps.state import ActiveTransaction, request_state
from pamps.throttling import count_sign_up_attempt
from pamps.tokens import unauthorized

router = APIRouter(prefix="/user", tags=["user"])

# The fields that If-Match protects.
IF_MATCH_FIELDS = ("id", "avatar", "bio", "email")

# A name in a path, in any case.
Name = Annotated[SafeText, Path(), AfterValidator(fold_case)]


def user_not_found() -> HTTPException:
    return HTTPException(404, "User not found")


def blocked() -> HTTPException:
    return HTTPException(403, "You cannot do this")


NAMED_USER = Parent(select(col(User.id)).where(IS_NAMED), user_not_found)

USERS = PaginatedQuery(users(), col(User.id), newest_first=False)
NAMED_PROFILE = Query(named_profile())
OWN_PROFILE = Query(own_profile())
LOCKED_PROFILE = Query(own_profile().with_for_update(key_share=True))
INSERT_USER = Query(insert_user())
UPDATE_USER = Query(update_user())


@router.get("/", response_model=Users)
async def list_users(request: Request, page: OldestFirstPage) -> Response:
    """List all users, the oldest account first."""
    return await page.response(request, USERS)


@router.post("/", status_code=201, response_model=UserResponse, responses=error_responses(409))
async def create_user(
    user: UserRequest, address: Address, request: Request, transaction: ActiveTransaction
) -> Response:
    """Create an account."""
    with hashing.queue_place():
        await count_sign_up_attempt(address)
        password = await hashing.hash_password(user.password)
        values = user.model_dump(exclude={"password"})
        (profile,) = await INSERT_USER.all(transaction, **values, password=password)
    headers = etag_header(profile) | {"Location": reference(request, f"{user.username}/")}
    return json_response({name: profile[name] for name in UserResponse.model_fields}, 201, headers)


async def read_profile(user: CurrentUser, source: Source | None = None) -> Row:
    """Return the profile of the current user, and lock it if there is a transaction.

    Raises HTTPException 401 if it was just deleted.
    """
    query = LOCKED_PROFILE if isinstance(source, Transaction) else OWN_PROFILE
    profile = await query.first(source, viewer_id=user.id)
    if profile is None:
        raise unauthorized()
    return profile


@asynccontextmanager
async def unchanged_profile(
    request: Request, user: CurrentUser
) -> AsyncIterator[Transaction | None]:
    """Lock the profile of the current user in a transaction, if the request has `If-Match`.

    Raises HTTPException 412 if the profile is another one than `If-Match` names.
    """
    if "If-Match" not in request.headers:
        yield None
        return
    # Check without a lock first, so that a 412 never waits for one.
    check_precondition(request, await read_profile(user), IF_MATCH_FIELDS)
    async with db.transaction() as transaction:
        check_precondition(request, await read_profile(user, transaction), IF_MATCH_FIELDS)
        yield transaction


@router.get("/me/", response_model=UserMe)
async def get_me(user: AuthenticatedUser, request: Request) -> Response:
    """Show your own profile."""
    profile = await read_profile(user, request_state(request.scope).reads)
    return conditional_response(request, profile, protected=IF_MATCH_FIELDS)


async def _update(user: CurrentUser, patch: UserPatch, transaction: Transaction | None) -> Row:
    """Update the profile of the current user. Raises HTTPException 401 if it was just deleted."""
    changes = {f"changes_{name}": name in patch.model_fields_set for name in UserPatch.model_fields}
    values = {"viewer_id": user.id, **patch.model_dump(), **changes}
    profile = await UPDATE_USER.first(transaction, **values)
    if profile is None:
        raise unauthorized()
    return profile


@router.patch("/me/", response_model=UserMe, responses=error_responses(409, 412))
async def update_me(
    patch: UserPatch,
    user: AuthenticatedUser,
    address: Address,
    language: PreferredLanguage,
    request: Request,
) -> Response:
    """Change your profile; what you leave out stays. A new e-mail takes a fresh sign-in.

    A new e-mail address is not verified, and a mail to the old one tells that it was changed.
    """
    changes_email = patch.email and patch.email != (await read_profile(user))["email"]
    if changes_email:
        require_fresh(user)
        await count_sign_up_attempt(address)  # as a 409 tells that the e-mail is taken
    async with unchanged_profile(request, user) as outer:
        if changes_email and MAIL_ENABLED:
            async with db.transaction(outer) as transaction:
                old = await read_profile(user, transaction)
                profile = await _update(user, patch, transaction)
                if old["email"] != profile["email"]:  # not changed since, by the same user
                    await queue_mail(transaction, "email_changed", old["email"], language, user.id)
        else:
            profile = await _update(user, patch, outer)
    return json_response(profile, 200, etag_header(profile, protected=IF_MATCH_FIELDS))


@router.delete("/me/", status_code=204, responses=error_responses(412))
async def delete_me(user: FreshUser, address: Address, request: Request) -> None:
    """Delete your account, your posts, likes and follows, for good. Takes a fresh sign-in."""
    async with unchanged_profile(request, user) as outer, db.transaction(outer) as transaction:
        account = await DELETE_ACCOUNT.first(transaction, account_id=user.id)
        if account is None:
            raise unauthorized()
        if user.superuser:
            await record_audit(transaction, "delete account", account, user, address)
    start_deletion()


@router.get("/{username}/", response_model=UserProfile, **OPTIONAL_SIGN_IN)
async def get_user_by_username(username: Name, request: Request, user: OptionalUser) -> Response:
    """Show a user's profile, and for a signed-in caller what is between the two."""
    reads = request_state(request.scope).reads
    profile = await NAMED_PROFILE.first(reads, viewer_id=user and user.id, username=username)
    if profile is None:
        raise user_not_found()
    return conditional_response(request, profile)
