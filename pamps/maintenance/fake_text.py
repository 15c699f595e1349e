"""Names and texts of generated users and posts."""

import random
import re
import unicodedata
from collections.abc import Iterable

from faker import Faker

# The hashtags that are used most; English words follow.
TAGS = "bomdia tbt música futebol café são_paulo livros política python viagem receita foto"


class Writer:
    """Writes names, professions and texts at random, in Portuguese and in English."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._portuguese, self._english = self._fakers = [Faker("pt_BR"), Faker("en_US")]
        for faker in self._fakers:
            faker.seed_instance(rng.getrandbits(32))

    def user(self, id: int) -> tuple[str, str]:
        """Return a name, which the id makes unique, and a profession."""
        faker = self._rng.choice(self._fakers)
        name = unicodedata.normalize("NFKD", f"{faker.first_name()}_{faker.last_name()}")
        return re.sub("[^a-z_]", "", name.lower())[: 30 - len(str(id))] + str(id), faker.job()

    def tags(self) -> list[str]:
        """Return hashtags in the form of `fold_tag`, the most popular ones first."""
        words = self._english.words(900, unique=True)
        return list(dict.fromkeys([*TAGS.split(), *map(str.lower, words)]))

    def text(self, usernames: Iterable[str], tags: Iterable[str]) -> str:
        """Return a text that mentions these users and has these hashtags, in this order."""
        sentence = self._rng.choice([self._portuguese.catch_phrase, self._english.sentence])()
        names, hashtags = (f"@{name}" for name in usernames), (f"#{tag}" for tag in tags)
        return " ".join([*names, sentence, *hashtags])
