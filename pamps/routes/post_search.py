"""Search for posts."""

from typing import Annotated

from fastapi import APIRouter, Query as QueryParameters, Request, Response
from pydantic import Field
from sqlmodel import col

from pamps.auth import OPTIONAL_SIGN_IN, OptionalUser
from pamps.models import Post
from pamps.models.post import Posts
from pamps.models.post_search import found_posts
from pamps.models.types import SearchText
from pamps.pagination import NewestFirstPage, PaginatedQuery

router = APIRouter(prefix="/post", tags=["post"])

FOUND_POSTS = PaginatedQuery(found_posts(), col(Post.id), newer=found_posts(newest_first=False))


class PostSearchPage(NewestFirstPage):
    """The page of found posts that a request asks for."""

    q: Annotated[SearchText, Field(description='Words, `"phrases"`, and `-words` not in a post.')]


@router.get("/search/", response_model=Posts, **OPTIONAL_SIGN_IN)
async def search_posts(
    request: Request, page: Annotated[PostSearchPage, QueryParameters()], user: OptionalUser
) -> Response:
    """List the posts with certain words, in any case and with any accents, the newest first."""
    return await page.response(request, FOUND_POSTS, viewer_id=user and user.id, q=page.q)
