from typing import Annotated, Any

from fastapi import APIRouter, Depends, HTTPException, Path, Response
from sqlmodel import Session, col, delete, select

from pamps.auth import Address, AuthenticatedUser, FreshUser
from pamps.db import ActiveSession, change_counter, insert_or_get
from pamps.errors import errors
from pamps.models import Post, Social, User
from pamps.models.base import Id, Text
from pamps.models.post import PostResponse, delete_account, timeline
from pamps.models.user import (
    SocialResponse,
    UserMe,
    UserPatch,
    UserProfile,
    UserRequest,
    UserResponse,
    followers,
    following,
    user_named,
    users,
)
from pamps.pagination import ActivePage
from pamps.ratelimit import attempt_sign_up

router = APIRouter(prefix="/user", tags=["user"])


def user_not_found() -> HTTPException:
    return HTTPException(404, "User not found")


def find_user(username: Annotated[Text, Path()], session: ActiveSession) -> User:
    user = session.exec(user_named(username)).first()
    if user is None:
        raise user_not_found()
    return user


NamedUser = Annotated[User, Depends(find_user)]


@router.get("/")
def list_users(session: ActiveSession, page: ActivePage) -> list[UserResponse]:
    """List all users, the oldest account first."""
    return page.read(session, users(), User.id, newest_first=False)


@router.post("/", status_code=201, response_model=UserResponse, responses=errors(409, 413))
def create_user(user: UserRequest, session: ActiveSession, address: Address) -> User:
    """Create an account."""
    attempt_sign_up(session, address)
    session.commit()  # counted whether it succeeds or not
    created = user.user()
    session.add(created)
    session.commit()
    return created


# The paths with a fixed word come before those with a name in its place.


@router.get("/timeline/", include_in_schema=False)
@router.get("/timeline", responses=errors(401))
def get_timeline(
    user: AuthenticatedUser, session: ActiveSession, page: ActivePage
) -> list[PostResponse]:
    """List the posts of everyone that you follow, replies included, the newest first."""
    return page.read(session, timeline(user, page.cursor, page.limit + 1), Post.id)


@router.get("/me/", response_model=UserMe, responses=errors(401))
def get_me(user: AuthenticatedUser) -> User:
    """Show your own profile."""
    return user


@router.patch("/me/", response_model=UserMe, responses=errors(401, 409, 413))
def update_me(
    patch: UserPatch, user: AuthenticatedUser, session: ActiveSession, address: Address
) -> User:
    """Change your profile; what you leave out stays as it is."""
    if patch.email and patch.email != user.email:
        attempt_sign_up(session, address)  # which tells as much of who has an account
        session.commit()
    user.sqlmodel_update(patch.model_dump(exclude_unset=True))
    session.commit()
    return user


@router.delete("/me/", status_code=204, responses=errors(401))
def delete_me(user: FreshUser, session: ActiveSession) -> None:
    """Delete your account, your posts, likes and follows, for good. Takes a fresh sign-in."""
    delete_account(session, user.id)
    session.commit()


FOLLOWED: dict[int | str, Any] = {
    200: {"model": SocialResponse, "description": "You follow them already."}
}


@router.post(
    "/follow/{user_id}",
    status_code=201,
    response_model=SocialResponse,
    responses=FOLLOWED | errors(400, 401, 404),
)
def follow_user(
    user_id: Id, user: AuthenticatedUser, session: ActiveSession, response: Response
) -> Social:
    """Follow a user."""
    if user_id == user.id:
        raise HTTPException(400, "You cannot follow yourself")
    social, created = insert_or_get(session, Social(from_id=user.id, to_id=user_id))
    if created:
        _count_follow(session, user.id, user_id, 1)
        session.commit()
    else:
        response.status_code = 200
    return social


@router.delete("/follow/{user_id}", status_code=204, responses=errors(401, 404))
def unfollow_user(user_id: Id, user: AuthenticatedUser, session: ActiveSession) -> None:
    """Follow a user no longer."""
    # First the users, then what lies between them: see docs/decisions/0006-counters.md.
    pair = select(User.id).where(col(User.id).in_((user.id, user_id))).order_by(col(User.id))
    if user_id not in session.exec(pair.with_for_update(key_share=True)).all():
        raise user_not_found()
    social = delete(Social).where(col(Social.from_id) == user.id, col(Social.to_id) == user_id)
    if session.exec(social).rowcount:
        _count_follow(session, user.id, user_id, -1)
        session.commit()


def _count_follow(session: Session, from_id: int, to_id: int, amount: int) -> None:
    counters = {from_id: User.following_count, to_id: User.follower_count}
    for user_id in sorted(counters):
        change_counter(session, counters[user_id], user_id, amount)


@router.get("/{username}/", response_model=UserProfile, responses=errors(404))
def get_user_by_username(user: NamedUser) -> User:
    """Show a user's profile."""
    return user


@router.get("/{username}/followers/", responses=errors(404))
def list_followers(user: NamedUser, session: ActiveSession, page: ActivePage) -> list[UserResponse]:
    """List who follows a user, the latest follower first."""
    return page.read(session, followers(user), Social.id)


@router.get("/{username}/following/", responses=errors(404))
def list_following(user: NamedUser, session: ActiveSession, page: ActivePage) -> list[UserResponse]:
    """List whom a user follows, the latest first."""
    return page.read(session, following(user), Social.id)
