"""Follows, and the timeline of those whom a user follows."""

from fastapi import APIRouter, HTTPException, Request, Response
from fastapi.exceptions import RequestValidationError
from sqlmodel import col

from pamps.auth import AuthenticatedUser, check_session
from pamps.config import settings
from pamps.db import Query
from pamps.errors import error_responses
from pamps.models import Social
from pamps.models.follow import existing_follow, follow, followers, unfollow
from pamps.models.pair import SocialResponse, paired_users
from pamps.models.timeline import ENTRY_ID, TimelineEntry, timeline
from pamps.models.types import Id
from pamps.models.user import Users
from pamps.pagination import ActivePage, PaginatedQuery
from pamps.responses import insert_options, insert_response, json_response
from pamps.routes.user import NAMED_USER, Name, blocked, user_not_found
from pamps.state import ActiveTransaction

router = APIRouter(prefix="/user", tags=["user"])

TIMELINE = PaginatedQuery(timeline(), ENTRY_ID, newer=timeline(newest_first=False))
FOLLOW = Query(follow())
EXISTING_FOLLOW = Query(existing_follow())
UNFOLLOW = Query(unfollow())
FOLLOWERS = PaginatedQuery(followers(NAMED_USER.id), col(Social.id), parent=NAMED_USER)
FOLLOWING = PaginatedQuery(paired_users(Social, NAMED_USER.id), col(Social.id), parent=NAMED_USER)


@router.get("/timeline", response_model=list[TimelineEntry])
async def get_timeline(user: AuthenticatedUser, request: Request, page: ActivePage) -> Response:
    """List the posts and reposts of everyone that you follow, replies included, newest first."""
    return await page.response(request, TIMELINE, viewer_id=user.id)


@router.post("/follow/{user_id}", **insert_options(SocialResponse, error_responses(400, 403)))
async def follow_user(
    user_id: Id, user: AuthenticatedUser, transaction: ActiveTransaction
) -> Response:
    """Follow a user."""
    if user_id == user.id:
        raise HTTPException(400, "You cannot follow yourself")
    pair = {"viewer_id": user.id, "user_id": user_id}
    while not (row := await FOLLOW.first(transaction, **pair)):
        await check_session(user, transaction)
        found = await EXISTING_FOLLOW.first(transaction, **pair)
        if found is None:
            raise user_not_found()
        is_blocked, follows_too_many = found.pop("blocked"), found.pop("too_many")
        if is_blocked:
            raise blocked()
        if found["from_id"] is not None:
            return json_response(found)
        if follows_too_many:
            message = f"You follow {settings.social.max_following} users, the most that are allowed"
            error = {"type": "too_many_follows", "loc": ("path", "user_id"), "msg": message}
            raise RequestValidationError([error])
        # What kept them from it is over, such as a block.
    return insert_response(row)


@router.delete("/follow/{user_id}", status_code=204)
async def unfollow_user(user_id: Id, user: AuthenticatedUser) -> None:
    """Follow a user no longer."""
    if not await UNFOLLOW.execute(viewer_id=user.id, user_id=user_id):
        raise user_not_found()


@router.get("/{username}/followers/", response_model=Users)
async def list_followers(username: Name, request: Request, page: ActivePage) -> Response:
    """List who follows a user, the latest follower first."""
    return await page.response(request, FOLLOWERS, username=username)


@router.get("/{username}/following/", response_model=Users)
async def list_following(username: Name, request: Request, page: ActivePage) -> Response:
    """List whom a user follows, the latest first."""
    return await page.response(request, FOLLOWING, username=username)
