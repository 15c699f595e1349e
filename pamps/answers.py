"""Answers with rows of the database: JSON, and how a client that has it already is spared it."""

import hashlib
from typing import Any

import orjson
from fastapi import HTTPException, Request, Response


def _encode(content: Any) -> bytes:
    """JSON of rows, whose times are in UTC without saying so."""
    return orjson.dumps(content, option=orjson.OPT_NAIVE_UTC | orjson.OPT_UTC_Z)


def _tag(body: bytes, link: str = "") -> str:
    """The `ETag` of an answer: made from what it says, and not from when something changed."""
    return f'"{hashlib.sha256(link.encode() + body).hexdigest()[:32]}"'


def tag(content: Any, link: str = "") -> dict[str, str]:
    """The header that `read` would send with it."""
    return {"ETag": _tag(_encode(content), link)}


def written(content: Any, status: int, headers: dict[str, str] | None = None) -> Response:
    """What has been stored."""
    return Response(_encode(content), status, headers, "application/json")


def read(request: Request, content: Any, **headers: str) -> Response:
    """What was asked for, or 304 for a client that says that it has just that (RFC 9110)."""
    body = _encode(content)
    etag = _tag(body, headers.get("Link", ""))
    # To be kept only if it is asked for anew each time: a user sees what they have just written.
    headers |= {"ETag": etag, "Cache-Control": "no-cache", "Vary": "Authorization"}
    known = ",".join(request.headers.getlist("If-None-Match"))
    if known == "*" or etag in known:
        return Response(None, 304, headers)
    return Response(body, 200, headers, "application/json")


def check_match(request: Request, content: Any, link: str = "") -> None:
    """Raises HTTPException 412 for a client that would change what it has not seen.

    That is what `If-Match` is for: RFC 9110, section 13.1.1. It compares tags that are strong.
    """
    known = [known.strip() for known in ",".join(request.headers.getlist("If-Match")).split(",")]
    if known != ["*"] and _tag(_encode(content), link) not in known:
        raise HTTPException(412, "It has changed since: the ETag is no longer that of If-Match")
