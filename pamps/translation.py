"""The OpenAPI document in Portuguese."""

import tomllib
from functools import cache
from importlib.resources import files
from typing import Any

TRANSLATED = ("summary", "description")


@cache
def catalogue() -> dict[str, str]:
    """Return the Portuguese texts by the English ones, which are on one line."""
    sections = tomllib.loads((files("pamps") / "openapi.pt-BR.toml").read_text("utf-8"))
    return {english: text for section in sections.values() for english, text in section.items()}


def translate(value: Any) -> Any:
    """Return a part of the document with its summaries and descriptions in Portuguese."""
    if isinstance(value, list):
        return [translate(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {
        name: catalogue().get(" ".join(part.split()), part)
        if name in TRANSLATED and isinstance(part, str)
        else translate(part)
        for name, part in value.items()
    }
