"""Mentions and hashtags: finding them in a text."""

import re
from collections.abc import Iterator
from itertools import islice, pairwise, takewhile
from typing import NamedTuple
from unicodedata import category, normalize

MAX_TAG_LENGTH = 50
# NFKC makes one character of at most four, so a longer text cannot be a tag.
MAX_RAW_TAG_LENGTH = 4 * MAX_TAG_LENGTH

# What follows `://` up to white space is an address.
_address = re.compile(r"://\S*")
_name = re.compile("@([A-Za-z0-9_]{1,30})")
# What becomes `#` by NFKC: FULLWIDTH NUMBER SIGN, SMALL NUMBER SIGN.
_number_sign = re.compile("[\uff03\ufe5f]")
# Letters and combining marks that show nothing. Those after an emoji belong to the emoji.
_invisible = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]"
)


class Entities(NamedTuple):
    """What a text mentions: names and hashtags, folded, each once, in the order of the text."""

    usernames: list[str]
    tags: list[str]


def fold_tag(tag: str) -> str:
    """Return a hashtag in the form in which hashtags are compared."""
    return normalize("NFKC", normalize("NFKC", tag).casefold())


def find_entities(text: str) -> Entities:
    """Return the names and hashtags in a text. Takes time in proportion to its length.

    `@name` is a mention and `#tag` a hashtag by the rules in docs/api.md.
    """
    text = f"  {_address.sub(' ', text)}  "
    return Entities(list(dict.fromkeys(_names(text))), list(dict.fromkeys(_tags(text))))


def _is_word(character: str) -> bool:
    """Tell whether it is a letter or digit of any script, `_`, or a mark that combines with one."""
    if character.isalnum() or category(character) in ("Mn", "Mc"):
        return not _invisible.match(character)
    return character == "_"


def _names(text: str) -> Iterator[str]:
    """Yield the mentioned names in a text with two spaces at each end."""
    for match in _name.finditer(text):
        start, end = match.span()
        before, previous, following, after = (text[n] for n in (start - 2, start - 1, end, end + 1))
        begins = previous not in "@/-+" and not _is_word(previous)
        begins &= previous != "." or not _is_word(before)
        ends = following != "@" and not _is_word(following)
        ends &= following not in ".-" or not _is_word(after)
        if begins and ends:
            # Only ASCII, so this is what `fold_case` does.
            yield match[1].lower()


def _tags(text: str) -> Iterator[str]:
    """Yield the hashtags in a text that begins with a space."""
    for before, piece in pairwise(_number_sign.sub("#", text).split("#")):
        # Nothing is before a `#` that follows another one.
        if before and before[-1] not in "&/" and not _is_word(before[-1]):
            characters = normalize("NFKC", piece[: MAX_RAW_TAG_LENGTH + 1])
            tag = "".join(islice(takewhile(_is_word, characters), MAX_TAG_LENGTH + 1))
            has_letter = any(character.isalpha() or character == "_" for character in tag)
            if has_letter and len(tag) <= MAX_TAG_LENGTH:
                yield fold_tag(tag)
