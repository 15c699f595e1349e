"""Answers with rows of the database: JSON, and how a client that has it already is spared it."""

import hashlib
from typing import Any

import orjson
from fastapi import Request, Response

PIECE = 2047


def _encode(content: Any) -> bytes:
    """JSON of rows, whose times are in UTC without saying so."""
    return orjson.dumps(content, option=orjson.OPT_NAIVE_UTC | orjson.OPT_UTC_Z)


def written(content: Any, status: int) -> Response:
    """What has been stored."""
    return Response(_encode(content), status, None, "application/json")


def read(request: Request, content: Any, **headers: str) -> Response:
    """What was asked for, or 304 for a client that says that it has just that (RFC 9110).

    The tag is made from the answer, `Link` included, and not from when something changed.
    """
    body = _encode(content)
    digest = hashlib.sha256(headers.get("Link", "").encode())
    # In pieces: to hash more at once lets another thread run, and a request then waits for it.
    for start in range(0, len(body), PIECE):
        digest.update(body[start : start + PIECE])
    tag = f'"{digest.hexdigest()[:32]}"'
    # To be kept only if it is asked for anew each time: a user sees what they have just written.
    headers |= {"ETag": tag, "Cache-Control": "no-cache", "Vary": "Authorization"}
    known = ",".join(request.headers.getlist("If-None-Match"))
    if known == "*" or tag in known:
        return Response(None, 304, headers)
    return Response(body, 200, headers, "application/json")
