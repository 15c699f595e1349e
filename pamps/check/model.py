"""What the tables of checks consist of."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple, TypeAlias

# A JSON value. In the tables, a text may contain {names} of what is known when the check runs.
Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"


class Language(StrEnum):
    en = "en"
    pt = "pt-BR"


class Text(NamedTuple):
    """A text in both languages."""

    en: str
    pt: str

    @classmethod
    def same(cls, text: str) -> "Text":
        return cls(text, text)

    @classmethod
    def join(cls, parts: Iterable[str], en: str, pt: str) -> "Text":
        parts = list(parts)
        return cls(en.join(parts), pt.join(parts))

    def to(self, language: Language) -> str:
        return self.pt if language is Language.pt else self.en

    def then(self, other: "Text") -> "Text":
        return Text(self.en + other.en, self.pt + other.pt)


class Group(StrEnum):
    """The parts of the workshop."""

    users = "users"
    auth = "auth"
    posts = "posts"
    social = "social"
    like = "like"


class Kind(StrEnum):
    """Values of which only the kind is expected."""

    integer = "integer"
    text = "text"
    date = "date"
    bearer = "bearer"
    anything = "anything"


class Listing(NamedTuple):
    """An array of objects.

    Of its objects, some are expected (`has`) or not (`lacks`), each by a value of its field `key`.
    """

    each: Mapping[str, object] = {}
    key: str = "id"
    has: tuple[str, ...] = ()
    lacks: tuple[str, ...] = ()
    once: bool = False
    in_order: bool = False

    def has_all(self, items: Iterable[Json]) -> bool:
        seen = [item.get(self.key) for item in items if isinstance(item, dict)]
        return all(key in seen for key in self.has)


@dataclass(frozen=True, kw_only=True)
class Expected:
    """What a response should be like; what is not named may be anything.

    A status is a number, or a class such as "2xx". `body` is a JSON value in which a `Kind` and a
    `Listing` stand for many; its objects may have more fields. `hidden` fields must not occur.
    """

    status: tuple[str, ...]
    body: object = Kind.anything
    hidden: tuple[str, ...] = ()
    header: tuple[str, str] | None = None
    hint: Text | None = None


@dataclass(frozen=True, kw_only=True)
class Request:
    """A request. `token` names what is known as the access token; no token: nobody is signed in."""

    method: str
    path: str
    json: Mapping[str, Json] | None = None
    form: Mapping[str, str] | None = None
    token: str = ""


@dataclass(frozen=True, kw_only=True)
class Check:
    """A request, and what is expected of its response.

    `demanded` is what the workshop's text, code or tests ask for; `usual` is what a client hopes
    for where the workshop leaves it open. A response of 2xx `makes` things that other checks need,
    and fields of it are kept for them under the names in `keep`.
    """

    id: str
    group: Group
    title: Text
    request: Request
    demanded: Expected | None = None
    usual: Expected | None = None
    needs: tuple[str, ...] = ()
    makes: tuple[str, ...] = ()
    keep: Mapping[str, str] = field(default_factory=dict)


def get(path: str, token: str = "") -> Request:  # nosec B107
    return Request(method="GET", path=path, token=token)


def post(  # nosec B107
    path: str,
    token: str = "",
    *,
    json: Mapping[str, Json] | None = None,
    form: Mapping[str, str] | None = None,
) -> Request:
    return Request(method="POST", path=path, json=json, form=form, token=token)
