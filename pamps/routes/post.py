from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, HTTPException, Query, Request, Response
from sqlmodel import Session, col, delete, func, update

from pamps.auth import ActiveClaims, Address, AuthenticatedUser, Viewer, get_fresh_user
from pamps.db import ActiveSession, change_counter, insert_or_get
from pamps.errors import errors
from pamps.models import Like, Post, User
from pamps.models.auth import record
from pamps.models.base import Id
from pamps.models.post import (
    LikeResponse,
    PostAuthor,
    PostPatch,
    PostRequest,
    PostResponse,
    PostResponseWithReplies,
    liked_posts,
    likers,
    posts,
)
from pamps.models.user import UserResponse
from pamps.pagination import ActivePage, Page
from pamps.routes.user import NamedUser

router = APIRouter(prefix="/post", tags=["post"])

# Some routes show more to a caller who has signed in, but do not ask for it.
sign_in_optional: Any = {"openapi_extra": {"security": [{}]}}


def not_found() -> HTTPException:
    return HTTPException(404, "Post not found")


def find_post(post_id: Id, session: ActiveSession) -> Post:
    post = session.get(Post, post_id)
    if post is None:
        raise not_found()
    return post


FoundPost = Annotated[Post, Depends(find_post)]


def find_own_post(user: AuthenticatedUser, post: FoundPost) -> Post:
    if post.user_id != user.id:
        raise HTTPException(403, "This post is not yours")
    return post


OwnPost = Annotated[Post, Depends(find_own_post)]


def find_post_to_delete(user: AuthenticatedUser, claims: ActiveClaims, post: FoundPost) -> Post:
    if post.user_id == user.id or not user.superuser:
        return find_own_post(user, post)
    get_fresh_user(user, claims)
    return post


PostToDelete = Annotated[Post, Depends(find_post_to_delete)]


def read_post(session: Session, post_id: int, viewer: User | None) -> Any:
    row = session.exec(posts(viewer).where(col(Post.id) == post_id)).first()
    if row is None:
        raise not_found()
    return row


@router.get("/", responses=errors(401), **sign_in_optional)
def list_posts(viewer: Viewer, session: ActiveSession, page: ActivePage) -> list[PostResponse]:
    """List the posts of everybody, without replies, the newest first."""
    return page.read(session, posts(viewer).where(col(Post.parent_id).is_(None)), Post.id)


@router.post("/", status_code=201, responses=errors(401, 404, 413))
def create_post(post: PostRequest, user: AuthenticatedUser, session: ActiveSession) -> PostResponse:
    """Write a post or, with `parent_id`, a reply."""
    created = Post(text=post.text, parent_id=post.parent_id, user_id=user.id)
    change_counter(session, User.post_count, user.id, 1)
    parent_id = post.parent_id
    if parent_id is not None and not change_counter(session, Post.reply_count, parent_id, 1):
        raise not_found()
    session.add(created)
    session.commit()
    author = PostAuthor.model_validate(user, from_attributes=True)
    return PostResponse(**created.model_dump(), user=author, liked=False)


# The paths with a fixed word come before those with an id in its place.


@router.get("/user/{username}/", responses=errors(401, 404), **sign_in_optional)
def get_posts_by_username(
    author: NamedUser,
    viewer: Viewer,
    session: ActiveSession,
    page: ActivePage,
    include_replies: bool = False,
    order: Annotated[Literal["oldest", "newest"], Query(description="What is first.")] = "oldest",
) -> list[PostResponse]:
    """List a user's posts, the oldest first."""
    query = posts(viewer).where(col(Post.user_id) == author.id)
    if not include_replies:
        query = query.where(col(Post.parent_id).is_(None))
    return page.read(session, query, Post.id, newest_first=order == "newest")


@router.get("/likes/{username}/", responses=errors(401, 404), **sign_in_optional)
def list_liked_posts(
    user: NamedUser, viewer: Viewer, session: ActiveSession, page: ActivePage
) -> list[PostResponse]:
    """List the posts that a user likes, the latest like first."""
    return page.read(session, liked_posts(user, viewer), Like.id)


@router.get(
    "/{post_id}/",
    response_model=PostResponseWithReplies,
    responses=errors(401, 404),
    **sign_in_optional,
)
def get_post_by_post_id(
    post_id: Id, viewer: Viewer, session: ActiveSession, request: Request, response: Response
) -> Any:
    """Show a post with the first page of its replies; `Link` leads to the others."""
    post = read_post(session, post_id, viewer)
    replies = posts(viewer).where(col(Post.parent_id) == post_id)
    page = Page(request, response)
    first = page.read(session, replies, Post.id, newest_first=False, route="list_replies")
    return {**post._mapping, "replies": first}


@router.get("/{post_id}/replies/", responses=errors(401, 404), **sign_in_optional)
def list_replies(
    post: FoundPost, viewer: Viewer, session: ActiveSession, page: ActivePage
) -> list[PostResponse]:
    """List the replies to a post, the oldest first."""
    replies = posts(viewer).where(col(Post.parent_id) == post.id)
    return page.read(session, replies, Post.id, newest_first=False)


@router.patch("/{post_id}/", response_model=PostResponse, responses=errors(401, 403, 404, 413))
def update_post(
    patch: PostPatch, post: OwnPost, user: AuthenticatedUser, session: ActiveSession
) -> Any:
    """Change the text of your post."""
    change = update(Post).where(col(Post.id) == post.id)
    session.exec(change.values(text=patch.text, edited_at=func.now()))
    row = read_post(session, post.id, user)
    session.commit()
    return row


@router.delete("/{post_id}/", status_code=204, responses=errors(401, 403, 404))
def delete_post(
    post: PostToDelete, user: AuthenticatedUser, address: Address, session: ActiveSession
) -> None:
    """Delete your post for good, or as a superuser anybody's; the replies to it stay."""
    # First the author, then the post: see docs/decisions/0006-counters.md.
    author = session.get(User, post.user_id, with_for_update={"key_share": True})
    deleted = session.exec(delete(Post).where(col(Post.id) == post.id)).rowcount
    if author is None or not deleted:
        raise not_found()  # somebody was faster
    change_counter(session, User.post_count, author.id, -1)
    if author.id != user.id:
        session.add(record(f"delete post {post.id}", author, user, address))
    if post.parent_id is not None:
        change_counter(session, Post.reply_count, post.parent_id, -1)
    session.commit()


LIKED: dict[int | str, Any] = {200: {"model": LikeResponse, "description": "You like it already."}}


@router.post(
    "/{post_id}/like/",
    status_code=201,
    response_model=LikeResponse,
    responses=LIKED | errors(401, 404),
)
def like_post(
    post_id: Id, user: AuthenticatedUser, session: ActiveSession, response: Response
) -> Like:
    """Like a post."""
    like, created = insert_or_get(session, Like(user_id=user.id, post_id=post_id))
    if created:
        change_counter(session, Post.like_count, post_id, 1)
        session.commit()
    else:
        response.status_code = 200
    return like


@router.delete("/{post_id}/like/", status_code=204, responses=errors(401, 404))
def unlike_post(post_id: Id, user: AuthenticatedUser, session: ActiveSession) -> None:
    """Like a post no longer."""
    # First the post, then its likes: see docs/decisions/0006-counters.md.
    if session.get(Post, post_id, with_for_update={"key_share": True}) is None:
        raise not_found()
    like = delete(Like).where(col(Like.user_id) == user.id, col(Like.post_id) == post_id)
    if session.exec(like).rowcount:
        change_counter(session, Post.like_count, post_id, -1)
        session.commit()


@router.get("/{post_id}/likes/", responses=errors(404))
def list_likers(post: FoundPost, session: ActiveSession, page: ActivePage) -> list[UserResponse]:
    """List who likes a post, the latest like first."""
    return page.read(session, likers(post), Like.id)
