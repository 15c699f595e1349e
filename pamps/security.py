"""Password hashes, and keyed hashes of what else is secret. The only module that knows passlib."""

import hmac
from contextlib import suppress
from functools import cache
from itertools import islice

from passlib.context import CryptContext

from pamps.config import settings
from pamps.folder import secret_key

COMMON_PASSWORDS = 3000


@cache
def _context() -> CryptContext:
    security = settings.security
    return CryptContext(
        schemes=["argon2", "bcrypt"],  # bcrypt is what a workshop database holds
        deprecated="auto",
        argon2__memory_cost=security.ARGON2_MEMORY_COST,
        argon2__time_cost=security.ARGON2_TIME_COST,
        argon2__parallelism=security.ARGON2_PARALLELISM,
    )


def get_password_hash(password: str) -> str:
    """Return the argon2id hash of a password (RFC 9106), with its parameters and salt."""
    return _context().hash(password)


def verify_password(plain_password: str, hashed_password: str | None) -> bool:
    """Tell whether a password is that of a hash.

    False for an unknown hash or an overlong password, after a dummy verification of the same cost.
    """
    if hashed_password is not None:
        with suppress(ValueError):
            return _context().verify(plain_password, hashed_password)
    _context().dummy_verify()
    return False


def needs_rehash(hashed_password: str) -> bool:
    """Tell whether a hash was made by another algorithm, or at another cost, than new ones are."""
    return _context().needs_update(hashed_password)


@cache
def _common_passwords() -> frozenset[str]:
    from zxcvbn.frequency_lists import FREQUENCY_LISTS  # here, as it is large and seldom needed

    shortest = settings.security.PASSWORD_MIN_LENGTH
    allowed = (word for word in FREQUENCY_LISTS["passwords"] if len(word) >= shortest)
    return frozenset(islice(allowed, COMMON_PASSWORDS))


def is_common_password(password: str) -> bool:
    """Tell whether a password is, in any case, one of the most common ones.

    ASVS 5.0, 6.2.4 asks for the first 3,000 that match the rules for passwords, as their length.
    """
    return password.lower() in _common_passwords()


def hmac_hash(purpose: str, *parts: str | bytes) -> bytes:
    """Return the HMAC-SHA-256 of `parts`, by a key made from SECRET_KEY for that purpose alone.

    Nobody without SECRET_KEY can find out by guessing what was hashed.
    """
    key = hmac.digest(secret_key().encode(), purpose.encode(), "sha256")
    words = [part.encode() if isinstance(part, str) else part for part in parts]
    # Each with its length, so that ("ab", "c") is not ("a", "bc").
    message = b"".join(len(word).to_bytes(8) + word for word in words)
    return hmac.digest(key, message, "sha256")
