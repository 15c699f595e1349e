"""The languages of mails."""

from typing import Annotated

from fastapi import Depends, Request

from pamps.responses import read_qualities

# By their primary tags (RFC 5646); the first is for those who prefer none of them.
LANGUAGES = {"en": "en", "pt": "pt-BR"}


async def get_language(request: Request) -> str:
    """Return the language of mails that the caller prefers, by `Accept-Language`."""
    qualities = read_qualities(request, "Accept-Language")
    accepted = sorted(qualities, key=lambda name: -qualities[name])
    tags = [name.partition("-")[0] for name in accepted if qualities[name]]
    return LANGUAGES[next((tag for tag in tags if tag in LANGUAGES), "en")]


MailLanguage = Annotated[str, Depends(get_language)]
