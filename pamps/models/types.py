"""Types of values in requests: ids, kinds of text, URLs, names, e-mail addresses, passwords."""

import re
from string import ascii_lowercase, ascii_uppercase
from typing import Annotated

import email_validator
from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    Field,
    HttpUrl,
    StringConstraints,
    TypeAdapter,
    ValidationError,
    WithJsonSchema,
)
from pydantic.config import JsonDict, JsonValue
from pydantic_core import PydanticCustomError

from pamps.config import settings


def examples(**fields: JsonValue) -> ConfigDict:
    """Return the configuration of a request's model: the example in the documentation."""
    return ConfigDict(json_schema_extra={"examples": [fields]})


def _check_no_nul(value: object) -> object:
    """Refuse text that PostgreSQL cannot store: with NUL, or with half of a surrogate pair."""
    if isinstance(value, str) and re.search("[\0\ud800-\udfff]", value):
        raise PydanticCustomError("string_unicode", "String should be Unicode without NUL")
    return value


# Put it last in `Annotated`: pydantic runs the last before-validator first.
no_nul = BeforeValidator(_check_no_nul)
_NO_NUL_PATTERN: JsonDict = {"pattern": "^[^\\x00]*$"}
SafeText = Annotated[str, Field(json_schema_extra=_NO_NUL_PATTERN), no_nul]


def _check_digits(value: object) -> object:
    if isinstance(value, str) and not re.fullmatch("-?[0-9]+", value):
        raise PydanticCustomError("int_parsing", "Input should be a valid integer")
    return value


def _float_to_int(value: object) -> object:
    """Convert 1.0, which is an integer in JSON Schema."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


# For numbers in paths and queries, where pydantic would also take "1_000" or "1.0".
digits = BeforeValidator(_check_digits)
# Documented by `format`: bounds in JSON Schema become floats, which cannot hold 64 bits.
BIGINT = {"type": "integer", "format": "int64"}
Id = Annotated[int, Field(ge=-(2**63), le=2**63 - 1), digits, WithJsonSchema(BIGINT)]
# In JSON, where neither "1" nor true is a number.
JsonId = Annotated[Id, Field(strict=True), BeforeValidator(_float_to_int)]
PositiveId = Annotated[Id, Field(ge=1), WithJsonSchema(BIGINT | {"minimum": 1})]

# Characters that show nothing: white space, control characters, what Unicode calls
# Default_Ignorable_Code_Point, and letters and symbols whose glyph is empty, such as U+2800.
_INVISIBLE = (
    r"\s\x00-\x1f\x7f-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f"
    r"\u202a-\u202e\u2060-\u206f\u2800\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb"
)
# JSON Schema has no notation for these that all readers know.
_INVISIBLE_BEYOND_16_BITS = (
    r"\U0001bca0-\U0001bca3\U0001d159\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
)
_invisible = re.compile(f"[{_INVISIBLE}{_INVISIBLE_BEYOND_16_BITS}]+")
# For JSON Schema: at least one visible character, and no NUL.
VISIBLE_PATTERN = rf"^[^\x00]*[^{_INVISIBLE}][^\x00]*$"

# The characters that RFC 3986 allows in a URL, without credentials before the host.
_url = re.compile(
    r"https?://[a-z0-9._~:!$&'()*+,;=%\[\]-]+([/?#][a-z0-9._~:/?#@!$&'()*+,;=%\[\]-]*)?",
    re.IGNORECASE | re.ASCII,
)
# For JSON Schema: stricter than the check, which also takes unusual hosts.
URL_PATTERN = (
    r"^https?://[A-Za-z][A-Za-z0-9-]*(\.[A-Za-z][A-Za-z0-9-]*)*"
    r"(/[A-Za-z0-9._~:/?#@!$&'()*+,;=%-]*)?$"
)
_http_url = TypeAdapter(HttpUrl)


def _check_visible(text: str) -> str:
    if _invisible.fullmatch(text):
        message = "String should have at least one visible character"
        raise PydanticCustomError("string_invisible", message)
    return text


def _check_url(text: str) -> str:
    """Return the URL unchanged; refuse one that browsers would not read as people do."""
    try:
        _http_url.validate_python(text)
        good = _url.fullmatch(text)
    except ValidationError:
        good = None
    if not good:
        raise PydanticCustomError("url", "Input should be an http or https URL without credentials")
    return text


# Empty text passes: a minimum length is a limit of its own.
visible = AfterValidator(_check_visible)
PictureUrl = Annotated[
    str,
    Field(max_length=255),
    AfterValidator(_check_url),
    no_nul,
    WithJsonSchema(
        {"type": "string", "format": "uri", "maxLength": 255, "pattern": URL_PATTERN}
        | {"examples": ["https://example.com/ana.png"]}
    ),
]

# Words of the API's paths, those of planned routes included: a name must not be taken for one.
RESERVED_NAMES = """
    api auth block blocks bookmark bookmarks disable docs email export feed follow follower
    followers following forgot health home like likes live login logout me metrics mute mutes
    notifications openapi password post posts read redoc refresh_token replies reply repost
    reposts reset search session sessions settings tag ticket timeline token user users verify
""".split()  # noqa: SIM905

# Fold only A to Z, so that Python and every collation agree.
FOLD = str.maketrans(ascii_uppercase, ascii_lowercase)


def fold_case(value: str) -> str:
    """Return a name or an e-mail address in the form in which they are compared."""
    return value.translate(FOLD)


def _check_email(value: str) -> str:
    try:
        # Pamps sends no mail, so addresses reserved for tests (RFC 6761) are allowed.
        return email_validator.validate_email(
            value, check_deliverability=False, test_environment=True
        ).normalized
    except email_validator.EmailNotValidError:
        # The library's messages quote the input.
        raise PydanticCustomError("email", "Input should be a valid e-mail address") from None


def _check_not_reserved(name: str) -> str:
    if fold_case(name) in RESERVED_NAMES:
        raise PydanticCustomError("username_reserved", "This name is reserved")
    return name


# White space around them is removed: keyboards that complete words add it.
Email = Annotated[
    str,
    StringConstraints(strip_whitespace=True, max_length=254),
    AfterValidator(_check_email),
    no_nul,
    WithJsonSchema({"type": "string", "format": "email", "maxLength": 254}),
]
Username = Annotated[
    str,
    StringConstraints(strip_whitespace=True, pattern="^[A-Za-z0-9_]{1,30}$"),
    AfterValidator(_check_not_reserved),
    no_nul,
]
Password = Annotated[
    str,
    Field(
        min_length=settings.security.PASSWORD_MIN_LENGTH,
        max_length=128,
        json_schema_extra=_NO_NUL_PATTERN,
    ),
    no_nul,
]
SearchText = Annotated[
    str,
    Field(min_length=1, max_length=255, json_schema_extra={"pattern": VISIBLE_PATTERN}),
    visible,
    no_nul,
]
Bio = Annotated[
    str,
    Field(max_length=1000, json_schema_extra={"pattern": f"^$|{VISIBLE_PATTERN}"}),
    visible,
    no_nul,
]
