from typing import Annotated, Any

from anyio import from_thread
from fastapi import APIRouter, Depends, HTTPException, Path, Request
from fastapi.exceptions import RequestValidationError
from pydantic import AfterValidator
from sqlalchemy import bindparam
from sqlmodel import Session, col, delete, select, update

from pamps import hashing
from pamps.auth import (
    Address,
    AuthenticatedUser,
    CurrentUser,
    FreshUser,
    check_session,
    require_fresh,
    stored_user,
)
from pamps.config import settings
from pamps.errors import errors
from pamps.legacy import ActiveSession, change_counter, in_session
from pamps.maintenance.deletion import DELETE_ACCOUNT, wake
from pamps.models import Audit, Post, Social, User
from pamps.models.columns import VIEWER_ID
from pamps.models.post import Posts, timeline
from pamps.models.types import Id, Text
from pamps.models.user import (
    NOT_DELETED,
    SocialResponse,
    UserMe,
    UserPatch,
    UserProfile,
    UserRequest,
    UserResponse,
    Users,
    fold,
    folded,
    follow,
    follow_of,
    followers,
    following,
    get_user,
    lock_user,
    profiles,
    user_named,
    users,
)
from pamps.pagination import ActivePage, PaginatedQuery, Parent
from pamps.paths import reference
from pamps.responses import check_precondition, conditional_response, etag_header, json_response
from pamps.statements import Statement
from pamps.throttling import attempt_sign_up
from pamps.tokens import unauthorized

router = APIRouter(prefix="/user", tags=["user"], responses=errors(429, 503))


USER_NOT_FOUND = "User not found"

# A name in a path, in any case.
Name = Annotated[Text, Path(), AfterValidator(folded)]
NAMED_USER = Parent(
    user_named(bindparam("username")).with_only_columns(col(User.id)), USER_NOT_FOUND
)

USERS = PaginatedQuery(users(), col(User.id), newest_first=False)
FOLLOWERS = PaginatedQuery(followers(NAMED_USER.id), col(Social.id), parent=NAMED_USER)
FOLLOWING = PaginatedQuery(following(NAMED_USER.id), col(Social.id), parent=NAMED_USER)
TIMELINE = PaginatedQuery(timeline(), col(Post.id))
PROFILE = Statement(profiles().where(fold(User.username) == bindparam("username")))
ME = Statement(
    profiles().add_columns(col(User.email), col(User.superuser)).where(col(User.id) == VIEWER_ID)
)
FOLLOW = Statement(follow())
FOLLOW_OF = Statement(follow_of())


def user_not_found() -> HTTPException:
    return HTTPException(404, USER_NOT_FOUND)


def find_user(username: Name, session: ActiveSession) -> User:
    user = session.exec(user_named(username)).first()
    if user is None:
        raise user_not_found()
    return user


NamedUser = Annotated[User, Depends(find_user)]


@router.get("/", response_model=Users)
async def list_users(request: Request, page: ActivePage) -> Any:
    """List all users, the oldest account first."""
    return await page.response(request, USERS)


@router.post("/", status_code=201, response_model=UserResponse, responses=errors(409, 413))
async def create_user(user: UserRequest, address: Address, request: Request) -> Any:
    """Create an account."""
    with hashing.place():
        await attempt_sign_up(address)
        created = user.user(await hashing.hash_password(user.password))
        await in_session(_store, created)
    profile = UserProfile.model_validate(created, from_attributes=True).model_dump()
    headers = etag_header(profile) | {"Location": reference(request, f"{created.username}/")}
    return json_response({name: profile[name] for name in UserResponse.model_fields}, 201, headers)


def _store(session: Session, user: User) -> None:
    session.add(user)
    session.commit()


# The paths with a fixed word come before those with a name in its place.


@router.get("/timeline", response_model=Posts, responses=errors(401))
async def get_timeline(user: AuthenticatedUser, request: Request, page: ActivePage) -> Any:
    """List the posts of everyone that you follow, replies included, the newest first."""
    return await page.response(request, TIMELINE, viewer_id=user.id)


def own(found: list[dict[str, Any]]) -> dict[str, Any]:
    """The caller's own profile, of what ME found. Raises HTTPException 401."""
    if not found:
        raise unauthorized()
    return found[0]


# What a change of the own profile overwrites, and so what If-Match is about.
PROTECTED = ("id", "avatar", "bio", "email")


def check_me(request: Request, session: Session, user_id: int) -> None:
    """Raise HTTPException 412 if the caller has not seen the profile as it is; lock it if so."""
    if "If-Match" in request.headers:
        # Before anything is locked, and again then, as it may have changed meanwhile.
        for read_user in (get_user, lock_user):
            user = read_user(session, user_id)
            if user is None:
                raise unauthorized()
            check_precondition(request, user.model_dump(), PROTECTED)


@router.get("/me/", response_model=UserMe, responses=errors(401))
async def get_me(user: AuthenticatedUser, request: Request) -> Any:
    """Show your own profile."""
    profile = own(await ME.fetch(viewer_id=user.id))
    return conditional_response(request, profile, protected=PROTECTED)


@router.patch("/me/", response_model=UserMe, responses=errors(401, 409, 412, 413))
def update_me(
    patch: UserPatch,
    caller: AuthenticatedUser,
    session: ActiveSession,
    address: Address,
    request: Request,
) -> Any:
    """Change your profile; what you leave out stays. A new e-mail takes a fresh sign-in."""
    user = stored_user(session, caller)
    if patch.email and patch.email != user.email:
        require_fresh(caller)
        from_thread.run(attempt_sign_up, address)  # which tells as much of who has an account
        session.commit()
    check_me(request, session, caller.id)
    # Not by the row read above: what is equal to that would not be written, though another request
    # may have changed it since.
    if values := patch.model_dump(exclude_unset=True):
        session.exec(update(User).where(col(User.id) == caller.id).values(**values))
    changed = own(ME.read(session, viewer_id=caller.id))
    session.commit()
    return json_response(changed, 200, etag_header(changed, protected=PROTECTED))


@router.delete("/me/", status_code=204, responses=errors(401, 412))
def delete_me(
    user: FreshUser,
    session: ActiveSession,
    address: Address,
    request: Request,
) -> None:
    """Delete your account, your posts, likes and follows, for good. Takes a fresh sign-in."""
    check_me(request, session, user.id)
    if not session.execute(DELETE_ACCOUNT.statement, {"account_id": user.id}).first():
        raise unauthorized()
    if user.superuser:
        session.add(
            Audit(
                actor_id=user.id,
                actor=user.username,
                action="delete account",
                target_id=user.id,
                target=user.username,
                address=address,
            )
        )
    session.commit()
    from_thread.run_sync(wake)


FOLLOWED: dict[int | str, Any] = {
    200: {"model": SocialResponse, "description": "You follow them already."}
}


@router.post(
    "/follow/{user_id}",
    status_code=201,
    response_model=SocialResponse,
    responses=FOLLOWED | errors(400, 401, 404),
)
async def follow_user(user_id: Id, user: AuthenticatedUser) -> Any:
    """Follow a user."""
    if user_id == user.id:
        raise HTTPException(400, "You cannot follow yourself")
    both = {"viewer_id": user.id, "user_id": user_id}
    found = await FOLLOW.fetch(**both)
    if not found:
        return json_response(await _followed(user, both), 200)
    (social,) = found
    is_new = social.pop("created")
    return json_response(social, 201 if is_new else 200)


async def _followed(user: CurrentUser, both: dict[str, int]) -> dict[str, Any]:
    """The row of a follow that could not be stored, if it is there already.

    Raises HTTPException 401, 404, RequestValidationError.
    """
    await check_session(user)
    found = await FOLLOW_OF.fetch(**both)
    if not found:
        raise user_not_found()
    if found[0]["from_id"] is None:
        words = f"You follow {settings.social.max_following} users, which is as many as is allowed"
        told = {"type": "too_many_follows", "loc": ("path", "user_id"), "msg": words}
        raise RequestValidationError([told])
    return found[0]


@router.delete("/follow/{user_id}", status_code=204, responses=errors(401, 404))
def unfollow_user(user_id: Id, user: AuthenticatedUser, session: ActiveSession) -> None:
    """Follow a user no longer."""
    # First the users, then what lies between them: see docs/decisions/0006-counters.md.
    pair = select(User.id).where(col(User.id).in_((user.id, user_id)), NOT_DELETED)
    pair = pair.order_by(col(User.id))
    if user_id not in session.exec(pair.with_for_update(key_share=True)).all():
        raise user_not_found()
    social = delete(Social).where(col(Social.from_id) == user.id, col(Social.to_id) == user_id)
    if session.exec(social).rowcount:
        change_counter(session, User.following_count, user.id, -1)
        change_counter(session, User.follower_count, user_id, -1)
        session.commit()


@router.get("/{username}/", response_model=UserProfile, responses=errors(404))
async def get_user_by_username(username: Name, request: Request) -> Any:
    """Show a user's profile."""
    found = await PROFILE.fetch(username=username)
    if not found:
        raise user_not_found()
    return conditional_response(request, found[0])


@router.get("/{username}/followers/", response_model=Users, responses=errors(404))
async def list_followers(username: Name, request: Request, page: ActivePage) -> Any:
    """List who follows a user, the latest follower first."""
    return await page.response(request, FOLLOWERS, username=username)


@router.get("/{username}/following/", response_model=Users, responses=errors(404))
async def list_following(username: Name, request: Request, page: ActivePage) -> Any:
    """List whom a user follows, the latest first."""
    return await page.response(request, FOLLOWING, username=username)
