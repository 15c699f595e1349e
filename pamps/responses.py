"""Answers with rows of the database: JSON, and how a client that has it already is spared it."""

import hashlib
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import orjson
from fastapi import HTTPException, Request, Response

# An entity tag, and what proxies that compress put at its end: see docs/decisions/0012-etags.md.
TAG = re.compile(r'(?:W/)?"([^"]*)"')
CODING = re.compile("(?:--?|;)(?:gzip|br|zstd|deflate)$")


def _encode(content: Any) -> bytes:
    """JSON of rows, whose times are in UTC without saying so."""
    return orjson.dumps(content, _time, orjson.OPT_PASSTHROUGH_DATETIME)


def _time(value: datetime) -> str:
    """A time with its fraction, which orjson leaves out of a whole second."""
    return f"{value.isoformat(timespec='microseconds')}Z"


def _digest(content: bytes, length: int = 32) -> str:
    return hashlib.sha256(content).hexdigest()[:length]


def _version(content: Mapping[str, Any], protected: Sequence[str]) -> str:
    """The first part of a tag: what a change of that resource would overwrite."""
    return _digest(_encode([content[name] for name in protected]), 16)


def _tag(body: bytes, content: Any, cursor: int | None, protected: Sequence[str]) -> str:
    whole = _digest(body + str(cursor).encode())
    return f'"{_version(content, protected)}.{whole}"' if protected else f'"{whole}"'


def tag(content: Any, cursor: int | None = None, protected: Sequence[str] = ()) -> dict[str, str]:
    """The header `ETag` that `read` would send with it."""
    return {"ETag": _tag(_encode(content), content, cursor, protected)}


def written(content: Any, status: int, headers: dict[str, str] | None = None) -> Response:
    """What has been stored."""
    return Response(_encode(content), status, headers, "application/json")


def _sent(request: Request, header: str) -> set[str] | None:
    """The tags in a header of the request, without their quotes; None for all there are."""
    value = ",".join(request.headers.getlist(header))
    return None if value.strip() == "*" else {CODING.sub("", tag) for tag in TAG.findall(value)}


def read(
    request: Request,
    content: Any,
    headers: Mapping[str, str] | None = None,
    cursor: int | None = None,
    protected: Sequence[str] = (),
) -> Response:
    """What was asked for, or 304 for a client that says that it has just that (RFC 9110).

    `cursor` is where the next page begins, and `protected` are the fields that a change of this
    resource would overwrite.
    """
    body = _encode(content)
    etag = _tag(body, content, cursor, protected)
    # To be kept only if it is asked for anew each time: a user sees what they have just written.
    common = {"ETag": etag, "Cache-Control": "no-cache", "Vary": "Authorization"}
    known = _sent(request, "If-None-Match")
    if known is None or etag.strip('"') in known:
        return Response(None, 304, {**(headers or {}), **common})
    return Response(body, 200, {**(headers or {}), **common}, "application/json")


def check_match(request: Request, content: Mapping[str, Any], protected: Sequence[str]) -> None:
    """Raise HTTPException 412 if a client would overwrite what it has not seen.

    That is what `If-Match` is for (RFC 9110, section 13.1.1). Only the first part of a tag counts.
    """
    seen = _sent(request, "If-Match")
    if seen is None:
        return
    if _version(content, protected) not in {tag.partition(".")[0] for tag in seen}:
        detail = "It was changed since: what would be overwritten is not what the ETag stands for"
        raise HTTPException(412, detail)
