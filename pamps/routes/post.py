from typing import Annotated, Any, Literal

from anyio import from_thread
from fastapi import APIRouter, Depends, HTTPException, Query, Request, Response
from pydantic import Field as Limit
from sqlmodel import Session, col, delete, func, select, update

from pamps.auth import (
    Address,
    AuthenticatedUser,
    OptionalUser,
    check_session,
    may_sign_in,
    require_fresh,
)
from pamps.errors import errors
from pamps.legacy import ActiveSession, change_counter
from pamps.maintenance.deletion import DELETE_LIKED_POST, MANY_LIKES, wake
from pamps.models import Like, Post, User
from pamps.models.post import (
    LikeResponse,
    PostPatch,
    PostRequest,
    PostResponse,
    PostResponseWithReplies,
    Posts,
    create,
    existing_post,
    like,
    liked_posts,
    likers,
    posts,
    thread,
)
from pamps.models.session import record
from pamps.models.types import Id
from pamps.models.user import Users, lock_user, of_existing
from pamps.pagination import ActivePage, Page, PaginatedQuery, Parent, next_page
from pamps.paths import reference
from pamps.responses import check_precondition, conditional_response, etag_header, json_response
from pamps.routes.user import NAMED_USER, Name
from pamps.statements import Statement

router = APIRouter(prefix="/post", tags=["post"], responses=errors(429, 503))

POST_NOT_FOUND = "Post not found"

FOUND_POST = Parent(existing_post(), POST_NOT_FOUND)
NOT_A_REPLY = col(Post.parent_id).is_(None)

HOME_POSTS = PaginatedQuery(posts().where(NOT_A_REPLY), col(Post.id))
POSTS_OF_USER = posts().where(col(Post.user_id) == NAMED_USER.id)
# By whether replies are among them, and whether the newest is first.
USER_POSTS = {
    (with_replies, newest): PaginatedQuery(
        statement, col(Post.id), newest_first=newest, parent=NAMED_USER
    )
    for with_replies, statement in (
        (True, POSTS_OF_USER),
        (False, POSTS_OF_USER.where(NOT_A_REPLY)),
    )
    for newest in (False, True)
}
LIKED_POSTS = PaginatedQuery(liked_posts(NAMED_USER.id), col(Like.id), parent=NAMED_USER)
REPLIES = PaginatedQuery(
    posts().where(col(Post.parent_id) == FOUND_POST.id),
    col(Post.id),
    newest_first=False,
    parent=FOUND_POST,
)
LIKERS = PaginatedQuery(likers(FOUND_POST.id), col(Like.id), parent=FOUND_POST)
THREAD = Statement(thread())
CREATE = Statement(create())
LIKE = Statement(like())


async def get_viewer_id(user: OptionalUser) -> int | None:
    return user.id if user else None


ViewerId = Annotated[int | None, Depends(get_viewer_id)]


def not_found() -> HTTPException:
    return HTTPException(404, POST_NOT_FOUND)


def find_post(post_id: Id, session: ActiveSession) -> Post:
    found = select(Post).where(Post.id == post_id, of_existing(Post.user_id))
    post = session.exec(found).first()
    if post is None:
        raise not_found()
    return post


FoundPost = Annotated[Post, Depends(find_post)]


async def find_own_post(user: AuthenticatedUser, post: FoundPost) -> Post:
    if post.user_id != user.id:
        raise HTTPException(403, "This post is not yours")
    return post


OwnPost = Annotated[Post, Depends(find_own_post)]


async def find_post_to_delete(user: AuthenticatedUser, post: FoundPost) -> Post:
    if post.user_id == user.id or not user.superuser:
        return await find_own_post(user, post)
    require_fresh(user)
    return post


PostToDelete = Annotated[Post, Depends(find_post_to_delete)]


@router.get("/", response_model=Posts, responses=errors(401), **may_sign_in)
async def list_posts(request: Request, page: ActivePage, viewer_id: ViewerId) -> Response:
    """List the posts of everybody, without replies, the newest first."""
    return await page.response(request, HOME_POSTS, viewer_id=viewer_id)


@router.post("/", status_code=201, response_model=PostResponse, responses=errors(401, 404, 413))
async def create_post(post: PostRequest, user: AuthenticatedUser, request: Request) -> Any:
    """Write a post or, with `parent_id`, a reply."""
    created = await CREATE.fetch(viewer_id=user.id, **post.model_dump())
    if not created:
        await check_session(user)
        raise not_found()
    (stored,) = created
    headers = etag_header(stored | {"replies": []}, protected=PROTECTED)
    headers["Location"] = reference(request, f"{stored['id']}/")
    return json_response(stored, 201, headers)


# The paths with a fixed word come before those with an id in its place.


class UserPostsPage(Page):
    """Which page of a user's posts the caller asks for."""

    include_replies: bool = False
    order: Annotated[Literal["oldest", "newest"], Limit(description="What is first.")] = "oldest"


@router.get("/user/{username}/", response_model=Posts, responses=errors(401, 404), **may_sign_in)
async def get_posts_by_username(
    username: Name,
    request: Request,
    page: Annotated[UserPostsPage, Query()],
    viewer_id: ViewerId,
) -> Response:
    """List a user's posts, the oldest first."""
    list_ = USER_POSTS[page.include_replies, page.order == "newest"]
    return await page.response(request, list_, viewer_id=viewer_id, username=username)


@router.get("/likes/{username}/", response_model=Posts, responses=errors(401, 404), **may_sign_in)
async def list_liked_posts(
    username: Name, request: Request, page: ActivePage, viewer_id: ViewerId
) -> Response:
    """List the posts that a user likes, the latest like first."""
    return await page.response(request, LIKED_POSTS, viewer_id=viewer_id, username=username)


REPLIES_SHOWN = Page().limit
# What a change of a post overwrites, and so what If-Match is about.
PROTECTED = ("id", "text")


def shown(found: list[dict[str, Any]], post_id: int) -> tuple[dict[str, Any], int | None]:
    """A post with the first page of its replies, and where the next page begins if there is one.

    They are made of what THREAD found. Raises HTTPException 404.
    """
    if not found or found[0]["id"] != post_id:
        raise not_found()
    post, *answers = found
    post["replies"] = answers[:REPLIES_SHOWN]
    return post, answers[REPLIES_SHOWN - 1]["id"] if len(answers) > REPLIES_SHOWN else None


@router.get(
    "/{post_id}/", response_model=PostResponseWithReplies, responses=errors(401, 404), **may_sign_in
)
async def get_post_by_post_id(post_id: Id, request: Request, viewer_id: ViewerId) -> Any:
    """Show a post with the first page of its replies; `Link` leads to the others."""
    found = await THREAD.fetch(viewer_id=viewer_id, post_id=post_id, limit=REPLIES_SHOWN + 1)
    post, cursor = shown(found, post_id)
    link = next_page(reference(request, "replies/", cursor=cursor)) if cursor else None
    return conditional_response(request, post, link, cursor, PROTECTED)


@router.get("/{post_id}/replies/", response_model=Posts, responses=errors(401, 404), **may_sign_in)
async def list_replies(
    post_id: Id, request: Request, page: ActivePage, viewer_id: ViewerId
) -> Response:
    """List the replies to a post, the oldest first."""
    return await page.response(request, REPLIES, viewer_id=viewer_id, post_id=post_id)


def check_seen(request: Request, post: Post) -> None:
    """Raise HTTPException 412 if `If-Match` is of another text than that of the post."""
    if "If-Match" in request.headers:
        check_precondition(request, post.model_dump(), PROTECTED)


def check_post(request: Request, session: Session, post_id: int) -> None:
    """Raise HTTPException 412 if the caller has not seen the text as it is; lock it if so."""
    if "If-Match" in request.headers:
        # Anew, as it may have been edited since it was found.
        lock: Any = {"key_share": True}
        post = session.get(Post, post_id, with_for_update=lock, populate_existing=True)
        if post is None:
            raise not_found()
        check_seen(request, post)


@router.patch("/{post_id}/", response_model=PostResponse, responses=errors(401, 403, 404, 412, 413))
def update_post(
    patch: PostPatch,
    post: OwnPost,
    user: AuthenticatedUser,
    session: ActiveSession,
    request: Request,
) -> Any:
    """Change the text of your post; with `If-Match` only if that text is still the same."""
    check_post(request, session, post.id)
    change = update(Post).where(col(Post.id) == post.id)
    session.exec(change.values(text=patch.text, edited_at=func.now()))
    values = {"viewer_id": user.id, "post_id": post.id, "limit": REPLIES_SHOWN + 1}
    changed, cursor = shown(THREAD.read(session, **values), post.id)
    session.commit()
    etag = etag_header(changed, cursor, PROTECTED)
    del changed["replies"]
    return json_response(changed, 200, etag)


@router.delete("/{post_id}/", status_code=204, responses=errors(401, 403, 404, 412))
def delete_post(
    post: PostToDelete,
    user: AuthenticatedUser,
    address: Address,
    session: ActiveSession,
    request: Request,
) -> None:
    """Delete your post for good, or as a superuser anybody's; the replies to it stay."""
    # First the author, then the post: see docs/decisions/0006-counters.md.
    check_seen(request, post)
    author = lock_user(session, post.user_id)
    check_post(request, session, post.id)
    if has_many_likes := post.like_count >= MANY_LIKES:
        moved = {"post_id": post.id, "account_id": post.user_id}
        deleted = session.execute(DELETE_LIKED_POST.statement, moved).first() is not None
    else:
        deleted = session.exec(delete(Post).where(col(Post.id) == post.id)).rowcount > 0
    if author is None or not deleted:
        raise not_found()  # somebody was faster
    change_counter(session, User.post_count, author.id, -1)
    if author.id != user.id:
        session.add(record(f"delete post {post.id}", author, user, address))
    if post.parent_id is not None:
        change_counter(session, Post.reply_count, post.parent_id, -1)
    session.commit()
    if has_many_likes:
        from_thread.run_sync(wake)


LIKED: dict[int | str, Any] = {200: {"model": LikeResponse, "description": "You like it already."}}


@router.post(
    "/{post_id}/like/",
    status_code=201,
    response_model=LikeResponse,
    responses=LIKED | errors(401, 404),
)
async def like_post(post_id: Id, user: AuthenticatedUser) -> Any:
    """Like a post."""
    found = await LIKE.fetch(viewer_id=user.id, post_id=post_id)
    if not found:
        await check_session(user)
        raise not_found()
    (liked,) = found
    is_new = liked.pop("created")
    return json_response(liked, 201 if is_new else 200)


@router.delete("/{post_id}/like/", status_code=204, responses=errors(401, 404))
def unlike_post(post_id: Id, user: AuthenticatedUser, session: ActiveSession) -> None:
    """Like a post no longer."""
    # First the post, then its likes: see docs/decisions/0006-counters.md.
    post = select(Post.id).where(Post.id == post_id, of_existing(Post.user_id))
    if session.exec(post.with_for_update(key_share=True)).first() is None:
        raise not_found()
    like = delete(Like).where(col(Like.user_id) == user.id, col(Like.post_id) == post_id)
    if session.exec(like).rowcount:
        change_counter(session, Post.like_count, post_id, -1)
        session.commit()


@router.get("/{post_id}/likes/", response_model=Users, responses=errors(404))
async def list_likers(post_id: Id, request: Request, page: ActivePage) -> Response:
    """List who likes a post, the latest like first."""
    return await page.response(request, LIKERS, post_id=post_id)
