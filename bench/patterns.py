"""What 64 KiB of hostile text costs each pattern that Pamps compares text with.

python -m bench.patterns
"""

import contextlib
import time
from collections.abc import Callable

from fastapi import HTTPException
from pydantic import TypeAdapter, ValidationError

from pamps.entities import find_entities
from pamps.models.post import PostText
from pamps.models.types import Bio, Email, Id, Password, PictureUrl, SafeText, Username
from pamps.tokens import Claims, read_token

SIZE = 64 * 1024
HOSTILE = ["a", "a@", "@", "a.", ".", "-", " ", "\0", "1", "é", '"', "\\", "a@a.", "\u200b", "_-"]
HOSTILE += [
    "#",
    "@a",
    "@a ",
    "#a ",
    "#1 ",
    "http://",
    "://",
    "\u0301\u0323",
    "#a\u0301\u0323",
    "\ufdfa",
]
KINDS = {
    "id": Id,
    "text": SafeText,
    "text of a post": PostText,
    "username": Username,
    "e-mail": Email,
    "password": Password,
    "avatar": PictureUrl,
    "bio": Bio,
    "subject": Claims.model_fields["sub"].rebuild_annotation(),
}


def milliseconds(compare: Callable[[str], object], text: str) -> float:
    """CPU, at best of three times."""
    best = float("inf")
    for _ in range(3):
        started = time.process_time()
        with contextlib.suppress(ValidationError, HTTPException):
            compare(text)
        best = min(best, time.process_time() - started)
    return best * 1000


def main() -> None:
    compares = {name: TypeAdapter(kind).validate_python for name, kind in KINDS.items()}
    compares["token"] = lambda text: read_token(text, "access_token")
    compares["mentions and hashtags"] = find_entities
    for name, compare in compares.items():
        worst = max(
            (milliseconds(compare, (text * SIZE)[:SIZE] + end), text)
            for text in HOSTILE
            for end in ("", "!", "\n")
        )
        print(f"{name}: {worst[0]:.2f} ms at most, for {worst[1]!r}")


if __name__ == "__main__":
    main()
