"""Hashing passwords. The only module that knows passlib."""

from functools import cache

from passlib.context import CryptContext

from pamps.config import settings


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
    """The argon2id hash of a password (RFC 9106), with its parameters and salt inside."""
    return _context().hash(password)


def verify_password(plain_password: str, hashed_password: str | None) -> tuple[bool, str | None]:
    """Whether the password is right and, where its hash is outdated, the one to store instead.

    Without a hash the answer is no, after as much work as a wrong password costs.
    """
    if hashed_password is None:
        _context().dummy_verify()
        return False, None
    return _context().verify_and_update(plain_password, hashed_password)
