"""Filling the {names} in the tables of checks with what is known when a check runs."""

import re
from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from enum import Enum
from typing import Any, TypeVar
from urllib.parse import quote

from .model import Check, Request, Text

T = TypeVar("T")
NAME = re.compile(r"\{(\w+)\}")


def _quote(value: object) -> str:
    return quote(str(value), safe="$", errors="replace")


def fill(template: T, values: Mapping[str, object]) -> T:
    """Return a template in which each {name} is replaced by its value."""
    filled: Any = template
    if isinstance(template, Text | Enum):
        pass
    elif isinstance(template, Request):
        path = NAME.sub(
            lambda name: quote(str(values[name[1]]), safe="$", errors="replace"), template.path
        )
        rest = {name: fill(getattr(template, name), values) for name in ("json", "form")}
        filled = replace(template, path=path, **rest)
    elif isinstance(template, str):
        name = NAME.fullmatch(template)
        filled = values[name[1]] if name else NAME.sub(lambda n: str(values[n[1]]), template)
    elif isinstance(template, Mapping):
        filled = {key: fill(value, values) for key, value in template.items()}
    elif isinstance(template, tuple):
        parts = [fill(part, values) for part in template]
        filled = type(template)(*parts) if hasattr(template, "_fields") else tuple(parts)
    elif is_dataclass(template):
        parts_by_name = {f.name: fill(getattr(template, f.name), values) for f in fields(template)}
        filled = replace(filled, **parts_by_name)
    return filled  # type: ignore[no-any-return]


class _Names(dict[str, str]):
    def __missing__(self, name: str) -> str:
        self[name] = ""
        return ""


def names(check: Check) -> set[str]:
    """Return the names of all that a check needs."""
    used = _Names()
    for template in (check.request, check.demanded, check.usual):
        fill(template, used)
    token = {check.request.token} if check.request.token else set()
    return (set(used) | token | set(check.needs)) - set(check.makes) - set(check.keep)
