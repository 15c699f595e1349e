"""The languages that Pamps speaks, and which one a caller prefers."""

from typing import Annotated

from fastapi import Depends, Request

from pamps.responses import read_qualities

# By their primary tags (RFC 5646); the first is for those who prefer none of them.
LANGUAGES = {"en": "en", "pt": "pt-BR"}


def find_language(*tags: str) -> str:
    """Return the language of the first tag whose language Pamps speaks, or English."""
    primary = (tag.partition("-")[0].lower() for tag in tags)
    return LANGUAGES[next((tag for tag in primary if tag in LANGUAGES), "en")]


async def get_language(request: Request) -> str:
    """Return the language that the caller prefers, by `Accept-Language`."""
    qualities = read_qualities(request, "Accept-Language")
    accepted = sorted(qualities, key=lambda name: -qualities[name])
    return find_language(*(name for name in accepted if qualities[name]))


PreferredLanguage = Annotated[str, Depends(get_language)]
