"""A word in each password of the suite, and how hashes and tokens begin: nobody writes these."""

import logging
import re

WORD = "c4n4ry"
# A token begins with the base64 of {"alg":
SECRET = re.compile(rf"{WORD}|\$argon2|\$2b\$|eyJhbGciO", re.IGNORECASE)


def password(username: str) -> str:
    return f"{WORD} of {username}"


def assert_unseen(text: str) -> None:
    assert not SECRET.search(text), f"a secret is in: {text}"


class Watch(logging.Handler):
    """Looks at all that is logged, with everything that goes along, and keeps what leaks."""

    def __init__(self) -> None:
        super().__init__()
        self.leaks: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        text = self.format(record) + repr(vars(record))
        if SECRET.search(text):
            self.leaks.append(text)
