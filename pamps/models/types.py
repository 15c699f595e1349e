"""Kinds of text: one that can be seen, the address of a picture."""

import re
from typing import Annotated

from pydantic import (
    AfterValidator,
    Field as Limit,
    HttpUrl,
    TypeAdapter,
    ValidationError,
    WithJsonSchema,
)
from pydantic_core import PydanticCustomError

from pamps.models.columns import storable

# Characters that show nothing: white space, control characters, what Unicode calls
# Default_Ignorable_Code_Point, and letters and symbols whose glyph is empty, such as U+2800.
_INVISIBLE = (
    r"\s\x00-\x1f\x7f-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f"
    r"\u202a-\u202e\u2060-\u206f\u2800\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb"
)
# Of these JSON Schema has no spelling that all its readers know.
_INVISIBLE_BEYOND_16_BITS = (
    r"\U0001bca0-\U0001bca3\U0001d159\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
)
_invisible = re.compile(f"[{_INVISIBLE}{_INVISIBLE_BEYOND_16_BITS}]+")
# For JSON Schema: somewhere a character that can be seen, and nowhere NUL.
VISIBLE_PATTERN = rf"^[^\x00]*[^{_INVISIBLE}][^\x00]*$"

# All that RFC 3986 allows in a URL, and no credentials before the host.
_url = re.compile(
    r"https?://[a-z0-9._~:!$&'()*+,;=%\[\]-]+([/?#][a-z0-9._~:/?#@!$&'()*+,;=%\[\]-]*)?",
    re.IGNORECASE | re.ASCII,
)
# For JSON Schema: what most of them look like.
URL_PATTERN = (
    r"^https?://[A-Za-z][A-Za-z0-9-]*(\.[A-Za-z][A-Za-z0-9-]*)*"
    r"(/[A-Za-z0-9._~:/?#@!$&'()*+,;=%-]*)?$"
)
_http_url = TypeAdapter(HttpUrl)


def _can_be_seen(text: str) -> str:
    if _invisible.fullmatch(text):
        message = "String should have at least one visible character"
        raise PydanticCustomError("string_invisible", message)
    return text


def _is_http_url(text: str) -> str:
    """Give it as it was sent, if browsers take it for the address that a reader takes it for."""
    try:
        _http_url.validate_python(text)
        good = _url.fullmatch(text)
    except ValidationError:
        good = None
    if not good:
        raise PydanticCustomError("url", "Input should be an http or https URL without credentials")
    return text


# A text that is empty passes: a shortest length is another limit.
visible = AfterValidator(_can_be_seen)
PictureUrl = Annotated[
    str,
    Limit(max_length=255),
    AfterValidator(_is_http_url),
    storable,
    WithJsonSchema(
        {"type": "string", "format": "uri", "maxLength": 255, "pattern": URL_PATTERN}
        | {"examples": ["https://example.com/ana.png"]}
    ),
]
