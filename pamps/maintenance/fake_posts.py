"""Generated posts, their texts, and the names of users."""

import random
import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from itertools import accumulate, islice
from typing import Literal, NamedTuple, TypeVar

from faker import Faker

# How many posts of a hundred have no hashtag, one, two, …; and the same for mentions.
TAGS, MENTIONS = [70, 20, 7, 3], [80, 15, 5]
# How many posts are replies, and the average number of posts between one and its parent.
REPLIES, REPLY_DISTANCE = 0.3, 500
# The hashtags that are used most; English words follow, or without English names of countries.
POPULAR_TAGS = "bomdia tbt música futebol café são_paulo livros política python viagem receita foto"

Language = Literal["pt-BR", "en"]
Item = TypeVar("Item")


class Draft(NamedTuple):
    """A post that has no id yet. `parent` is the index of the draft that it replies to."""

    user_id: int
    date: datetime
    parent: int | None
    mention_ids: list[int]
    tags: list[str]
    text: str


class Writer:
    """Writes names, professions and texts at random, in Portuguese, in English, or in both."""

    def __init__(self, rng: random.Random, language: Language | None) -> None:
        self._rng = rng
        self._portuguese, self._english = Faker("pt_BR"), Faker("en_US")
        fakers = {"pt-BR": self._portuguese, "en": self._english}
        for faker in fakers.values():
            faker.seed_instance(rng.getrandbits(32))
        self._fakers = [fakers[language]] if language else list(fakers.values())

    def user(self, id: int) -> tuple[str, str]:
        """Return a name, which the id makes unique, and a profession."""
        faker = self._rng.choice(self._fakers)
        name = unicodedata.normalize("NFKD", f"{faker.first_name()}_{faker.last_name()}")
        return re.sub("[^a-z_]", "", name.lower())[: 30 - len(str(id))] + str(id), faker.job()

    def tags(self) -> list[str]:
        """Return hashtags in the form of `fold_tag`, the most popular ones first."""
        if self._english in self._fakers:
            words = self._english.words(900, unique=True)
        else:
            words = [re.sub(r"\W+", "_", self._portuguese.country()) for _ in range(900)]
        return list(dict.fromkeys([*POPULAR_TAGS.split(), *map(str.lower, words)]))

    def text(self, usernames: Iterable[str], tags: Iterable[str]) -> str:
        """Return a text that mentions these users and has these hashtags, in this order."""
        faker = self._rng.choice(self._fakers)
        sentence = faker.catch_phrase() if faker is self._portuguese else faker.sentence()
        names, hashtags = (f"@{name}" for name in usernames), (f"#{tag}" for tag in tags)
        return " ".join([*names, sentence, *hashtags])

    def drafts(
        self,
        usernames: dict[int, str],
        ranking: Sequence[int],
        apart: set[tuple[int, int]],
        dates: Sequence[datetime],
    ) -> Iterator[Draft]:
        """Write a post for each date. The first users of the ranking write and are mentioned most.

        Two users in `apart` do not mention or answer each other.
        """
        count = len(dates)
        authors = popular(self._rng, ranking, count)
        mentioned = iter(popular(self._rng, ranking, count * len(MENTIONS)))
        tags = iter(popular(self._rng, self.tags(), count * len(TAGS)))
        for index, author in enumerate(authors):
            parent = None
            if index and self._rng.random() < REPLIES:
                parent = max(0, index - 1 - int(self._rng.expovariate(1 / REPLY_DISTANCE)))
                if (author, authors[parent]) in apart:
                    parent = None
            others = self._some(mentioned, MENTIONS)
            mention_ids = [id for id in others if id != author and (id, author) not in apart]
            used = self._some(tags, TAGS)
            text = self.text((usernames[id] for id in mention_ids), used)
            yield Draft(author, dates[index], parent, mention_ids, used, text)

    def _some(self, items: Iterator[Item], weights: Sequence[int]) -> list[Item]:
        """Take some different items: n of them as often as the weight with the index n says."""
        (count,) = self._rng.choices(range(len(weights)), weights)
        return list(dict.fromkeys(islice(items, count)))


def popular(rng: random.Random, ranking: Sequence[Item], count: int) -> list[Item]:
    """Choose some items much more often than others: the n-th as often as 1/n (Zipf's law)."""
    weights = list(accumulate(1 / rank for rank in range(1, len(ranking) + 1)))
    return rng.choices(ranking, cum_weights=weights, k=count) if ranking else []
