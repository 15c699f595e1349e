"""JSON responses from rows, entity tags, conditional requests, content negotiation (RFC 9110)."""

import hashlib
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import orjson
from fastapi import HTTPException, Request, Response
from pydantic import BaseModel

# What a response shows: one row, or a list of rows.
Content = Mapping[str, object] | Sequence[Mapping[str, object]]

# For routes whose response is sent in parts: the documentation promises no ETag.
STREAMED: Any = {"openapi_extra": {"x-streamed": True}}

ENTITY_TAG = re.compile(r'(?:W/)?"([^"]*)"')
# What proxies that compress append to an entity tag: see docs/decisions/0012-etags.md.
CODING_SUFFIX = re.compile("(?:--?|;)(?:gzip|br|zstd|deflate)$")


def encode_json(content: object) -> bytes:
    """Encode as JSON. The times of rows are in UTC, without a time zone."""
    return orjson.dumps(content, _encode_time, orjson.OPT_PASSTHROUGH_DATETIME)


def _encode_time(value: datetime) -> str:
    """Format a time with microseconds, which orjson omits where they are 0."""
    return f"{value.isoformat(timespec='microseconds')}Z"


def _digest(content: bytes, length: int = 32) -> str:
    return hashlib.sha256(content).hexdigest()[:length]


def _version(content: Mapping[str, object], protected: Sequence[str]) -> str:
    """Return the first part of an entity tag, which stands for the protected fields."""
    return _digest(encode_json([content[name] for name in protected]), 16)


def _entity_tag(body: bytes, content: Content, linked: object, protected: Sequence[str]) -> str:
    whole = _digest(body + str(linked).encode())
    if protected and isinstance(content, Mapping):
        return f'"{_version(content, protected)}.{whole}"'
    return f'"{whole}"'


def _entity_tags(request: Request, header: str) -> set[str] | None:
    """Return the entity tags in a request header, without quotes, or None for `*`."""
    value = ",".join(request.headers.getlist(header))
    if value.strip() == "*":
        return None
    return {CODING_SUFFIX.sub("", tag) for tag in ENTITY_TAG.findall(value)}


def is_known(request: Request, etag: str) -> bool:
    """Tell whether `If-None-Match` says that the client has what this entity tag stands for."""
    known = _entity_tags(request, "If-None-Match")
    return known is None or etag.strip('"') in known


def etag_header(
    content: Content, linked: object = None, protected: Sequence[str] = ()
) -> dict[str, str]:
    """Return the header `ETag` that `conditional_response` would send with this content."""
    return {"ETag": _entity_tag(encode_json(content), content, linked, protected)}


def read_qualities(request: Request, header: str) -> dict[str, float]:
    """Return what a header such as `Accept` names, and its quality (RFC 9110, section 12.4.2)."""
    qualities = {}
    for item in ",".join(request.headers.getlist(header)).lower().split(","):
        name, *parameters = (part.strip() for part in item.split(";"))
        quality = next((text[2:] for text in parameters if text.startswith("q=")), "1")
        qualities[name] = float(quality) if re.fullmatch(r"[01](\.\d*)?", quality) else 0
    return qualities


def json_response(
    content: Content, status: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    return Response(encode_json(content), status, headers, "application/json")


def insert_response(row: dict[str, object]) -> Response:
    """Respond with a row of `insert_or_get`: 201 if it is new, 200 if it was there before."""
    status = 201 if row.pop("created") else 200
    del row["id"]
    return json_response(row, status)


def insert_options(model: type[BaseModel], errors: Mapping[int | str, Any] | None = None) -> Any:
    """Return the options of a route that sends an `insert_response`, and these errors."""
    existing = {"model": model, "description": "The same row, which was there already."}
    responses = {200: existing, **(errors or {})}
    return {"status_code": 201, "response_model": model, "responses": responses}


def conditional_response(
    request: Request,
    content: Content,
    headers: Mapping[str, str] | None = None,
    linked: object = None,
    protected: Sequence[str] = (),
) -> Response:
    """Respond with the content, or with 304 if `If-None-Match` says that the client has it.

    `linked` tells which pages the header `Link` leads to, and `protected` names the fields that a
    change of this resource would overwrite (see `check_precondition`). RFC 9110, section 13.1.2.
    """
    body = encode_json(content)
    etag = _entity_tag(body, content, linked, protected)
    # `no-cache` lets a client keep the response but makes it ask each time, so that users see what
    # they have just written.
    headers = dict(headers or {}, ETag=etag, Vary="Authorization") | {"Cache-Control": "no-cache"}
    if is_known(request, etag):
        return Response(None, 304, headers)
    return Response(body, 200, headers, "application/json")


def check_precondition(
    request: Request, content: Mapping[str, object], protected: Sequence[str]
) -> None:
    """Check that the client has seen the protected fields that its change will overwrite.

    Raises HTTPException 412 if `If-Match` names other values of them (RFC 9110, section 13.1.1).
    Only the first part of an entity tag is compared.
    """
    if "If-Match" not in request.headers:
        return
    known = _entity_tags(request, "If-Match")
    version = _version(content, protected)
    if known is not None and version not in {tag.partition(".")[0] for tag in known}:
        raise HTTPException(412, "This has changed since the ETag in If-Match was issued")
