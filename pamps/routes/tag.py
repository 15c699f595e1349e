"""Hashtags."""

from typing import Annotated

from fastapi import APIRouter, Path, Request, Response
from pydantic import AfterValidator
from sqlmodel import col

from pamps.auth import OPTIONAL_SIGN_IN, OptionalUser
from pamps.db import Query
from pamps.entities import MAX_RAW_TAG_LENGTH, fold_tag
from pamps.loops import KeptResult, PerLoop
from pamps.models import Tag
from pamps.models.post import Posts
from pamps.models.tag import PopularTag, popular_tags, tagged_posts
from pamps.models.types import SafeText
from pamps.pagination import MAX_LIMIT, ActiveLimit, ActivePage, PaginatedQuery
from pamps.replica_reader import primary_reader
from pamps.responses import conditional_response

router = APIRouter(tags=["post"])

# A hashtag in a path, in any case, without `#`.
TagName = Annotated[SafeText, Path(max_length=MAX_RAW_TAG_LENGTH), AfterValidator(fold_tag)]

TAGGED_POSTS = PaginatedQuery(tagged_posts(), col(Tag.post_id))
POPULAR_TAGS = Query(popular_tags(MAX_LIMIT))

popular = PerLoop(lambda: KeptResult(lambda: POPULAR_TAGS.all(primary_reader())))


@router.get("/post/tag/{tag}/", response_model=Posts, **OPTIONAL_SIGN_IN)
async def list_tagged_posts(
    tag: TagName, request: Request, page: ActivePage, user: OptionalUser
) -> Response:
    """List the posts that have a hashtag, the newest first."""
    return await page.response(request, TAGGED_POSTS, viewer_id=user and user.id, tag=tag)


@router.get("/tag/", response_model=list[PopularTag])
async def list_popular_tags(request: Request, page: ActiveLimit) -> Response:
    """List the hashtags that most different people have used in the last 7 days."""
    tags = await popular.get().get()
    return conditional_response(request, tags[: page.limit])
