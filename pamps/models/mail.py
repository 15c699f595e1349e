"""Mail that is waiting to be sent, and the tokens in the links that were sent: table and queries.

See docs/decisions/0027-mail.md.
"""

from datetime import datetime, timedelta
from typing import Any, Literal, get_args

import sqlalchemy as sa
from pydantic import BaseModel
from sqlalchemy.orm import Mapped
from sqlalchemy.sql.dml import ReturningUpdate
from sqlmodel import Field, SQLModel, col, delete, insert, select, update

from pamps.models.columns import (
    AnySelect,
    Column,
    Condition,
    counter,
    created_at,
    foreign_key,
    id_parameter,
    identity,
    text_column,
)
from pamps.models.types import SafeText, examples
from pamps.models.user import NOT_DELETED, User, fold_case_sql

MailKind = Literal["reset_password", "verify_email", "email_changed"]

RESET_LIFETIME, VERIFICATION_LIFETIME = timedelta(hours=1), timedelta(days=1)
# For so long a mail belongs to the process that sends it. If that dies, another one sends it then.
CLAIM_TIME = timedelta(minutes=3)


class Mail(SQLModel, table=True):
    """A mail: until it is sent, and if there is a link in it, until that was used or has expired.

    The token of the link is made from the random `key` with SECRET_KEY, so that every attempt to
    send has the same one and it is stored nowhere; `token_hash` is a keyed hash of it.
    `next_attempt` is null once the mail was sent. `user_id` is null while it is not known who, if
    anybody, has the address; `password_digest` is a digest of the password's hash when a link to
    reset that was made.
    """

    __table_args__ = (
        sa.Index(
            "ix_mail_next_attempt",
            "next_attempt",
            postgresql_where=sa.text("next_attempt IS NOT NULL"),
        ),
        sa.Index("ix_mail_token_hash", "token_hash"),
        sa.Index("ix_mail_user", "user_id"),
        sa.CheckConstraint(f"kind IN {get_args(MailKind)}", name="kind"),
    )

    id: int = identity(primary_key=True)
    kind: str = text_column()
    recipient: str = text_column()
    language: str = text_column()
    user_id: int | None = foreign_key("user.id", caller=True, default=None)
    key: bytes = Field(sa_type=sa.LargeBinary, repr=False)
    token_hash: bytes | None = Field(None, sa_type=sa.LargeBinary, repr=False)
    password_digest: bytes | None = Field(None, sa_type=sa.LargeBinary, repr=False)
    expires: datetime | None = None
    date: datetime = created_at()
    attempts: int = counter()
    next_attempt: datetime | None = Field(None, sa_column_kwargs={"server_default": sa.func.now()})


MAIL_ID = id_parameter("mail_id")
IS_MAIL = col(Mail.id) == MAIL_ID
IS_WAITING = col(Mail.next_attempt).is_not(None)
TOKEN_HASH = sa.bindparam("token_hash", type_=sa.LargeBinary)
PASSWORD_DIGEST: Column = sa.func.sha256(sa.func.convert_to(User.password, "UTF8"))
MAY_SIGN_IN = NOT_DELETED & col(User.disabled).is_(False)


def insert_mail() -> sa.Insert:
    columns: dict[str, sa.types.TypeEngine[Any]] = {
        **dict.fromkeys(("kind", "recipient", "language"), sa.Text()),
        "user_id": sa.BigInteger(),
        "key": sa.LargeBinary(),
    }
    values = select(*[sa.bindparam(name, type_=type_) for name, type_ in columns.items()])
    # The other columns get the defaults of the database.
    return insert(Mail).from_select(list(columns), values, include_defaults=False)


def claim_mail() -> ReturningUpdate[*tuple[Any, ...]]:
    """Take the mail that waits longest from those that are due; no other process takes it."""
    due = select(Mail.id).where(col(Mail.next_attempt) <= sa.func.now())
    due = due.order_by(col(Mail.next_attempt)).limit(1).with_for_update(skip_locked=True)
    # A CTE runs once; a subquery may run for each row, and skip what is locked already.
    mail = update(Mail).where(col(Mail.id) == due.cte("due").c.id)
    mail = mail.values(attempts=Mail.attempts + 1, next_attempt=sa.func.now() + CLAIM_TIME)
    columns = [col(Mail.id), col(Mail.kind), col(Mail.language), col(Mail.key), col(Mail.date)]
    age = (sa.func.now() - col(Mail.date)).label("age")
    return mail.returning(*columns, col(Mail.attempts), age)


def _make_link(lifetime: timedelta, *conditions: Condition, **values: Any) -> sa.Update:
    """Store a token for the link of a mail, if its recipient fulfils the conditions."""
    token = {"token_hash": TOKEN_HASH, "expires": sa.func.now() + lifetime}
    made = update(Mail).where(IS_MAIL, MAY_SIGN_IN, *conditions).values({**token, **values})
    return made.returning(col(User.username), col(User.email))


def has_address(address: Column | Mapped[str]) -> Condition:
    return fold_case_sql(col(User.email)) == fold_case_sql(address)


def make_reset_link() -> sa.Update:
    """Store a token to reset the password of whoever has the address; return name and address.

    Nothing is returned if nobody has it, or if the password was changed since an earlier attempt,
    which may have sent the same link.
    """
    unchanged = sa.func.coalesce(Mail.password_digest, PASSWORD_DIGEST) == PASSWORD_DIGEST
    return _make_link(
        RESET_LIFETIME,
        has_address(col(Mail.recipient)),
        unchanged,
        user_id=User.id,
        password_digest=PASSWORD_DIGEST,
    )


def make_verification_link() -> sa.Update:
    """Store a token to verify the address of `user_id`; return name and address.

    Nothing is returned if the user has another address now, or has verified it.
    """
    is_user = col(Mail.user_id) == User.id
    return _make_link(
        VERIFICATION_LIFETIME,
        is_user,
        col(User.email) == Mail.recipient,
        col(User.email_verified).is_(False),
    )


def recipient_of_notice() -> AnySelect:
    """Select the user whom a mail without a link is about, and its recipient."""
    user: AnySelect = select(col(User.username), col(Mail.recipient).label("email"))
    return user.join(Mail, col(Mail.user_id) == User.id).where(IS_MAIL, NOT_DELETED)


def mark_sent() -> sa.Update:
    return update(Mail).where(IS_MAIL).values(next_attempt=None)


def postpone_mail() -> sa.Update:
    """Try again in `pause`, unless another process has sent the mail or tries it."""
    is_own_attempt = col(Mail.attempts) == sa.bindparam("attempts", type_=sa.Integer)
    pause = sa.bindparam("pause", type_=sa.Interval)
    postponed = update(Mail).where(IS_MAIL, IS_WAITING, is_own_attempt)
    return postponed.values(next_attempt=sa.func.now() + pause)


def delete_mail() -> sa.Delete:
    return delete(Mail).where(IS_MAIL)


def count_waiting_mails() -> AnySelect:
    return select(sa.func.count().label("count")).select_from(Mail).where(IS_WAITING)


def _is_valid_token(kind: MailKind) -> Condition:
    is_token = (col(Mail.kind) == sa.literal(kind, sa.Text)) & (col(Mail.token_hash) == TOKEN_HASH)
    return is_token & (col(Mail.expires) > sa.func.now())


def user_of_reset_token() -> AnySelect:
    """Select name and address of the user whose password a token may reset."""
    user = select(col(User.username), col(User.email)).join(Mail, col(Mail.user_id) == User.id)
    same_password = col(Mail.password_digest) == PASSWORD_DIGEST
    return user.where(
        _is_valid_token("reset_password"),
        has_address(col(Mail.recipient)),
        same_password,
        MAY_SIGN_IN,
    )


def _used_token(kind: MailKind) -> sa.CTE:
    """Delete the mail with a token, so that nobody else can use it."""
    used = delete(Mail).where(_is_valid_token(kind))
    columns = col(Mail.user_id), col(Mail.recipient), col(Mail.password_digest)
    return used.returning(*columns).cte("used")


def reset_password() -> sa.Update:
    """Set the password `new_hash` of the user of a token, and use the token up.

    Returns id and name, or nothing if password or address are no longer those that the link was
    made for: both are compared again if the row was locked by another transaction.
    """
    used = _used_token("reset_password")
    reset = update(User).where(col(User.id) == used.c.user_id, MAY_SIGN_IN)
    reset = reset.where(has_address(used.c.recipient), used.c.password_digest == PASSWORD_DIGEST)
    reset = reset.values(password=sa.bindparam("new_hash", type_=sa.Text))
    return reset.returning(col(User.id), col(User.username))


def verify_email() -> sa.Update:
    """Mark the address that a token was sent to as verified, and use the token up.

    Returns the user's id, or nothing if that is no longer the address.
    """
    used = _used_token("verify_email")
    verified = update(User).where(col(User.id) == used.c.user_id, MAY_SIGN_IN)
    verified = verified.where(col(User.email) == used.c.recipient).values(email_verified=True)
    return verified.returning(col(User.id))


def expired_mails(limit: int) -> sa.Delete:
    """Delete up to `limit` mails that were sent, and whose link has expired or that have none."""
    has_expired = sa.func.coalesce(Mail.expires, Mail.date) <= sa.func.now()
    expired = select(Mail.id).where(~IS_WAITING, has_expired).order_by(col(Mail.id)).limit(limit)
    batch = expired.with_for_update(skip_locked=True).cte("batch")
    return delete(Mail).where(col(Mail.id) == batch.c.id)


class EmailVerification(BaseModel):
    """The token from the link of a mail."""

    model_config = examples(token="what the mail has")  # nosec B106

    token: SafeText = Field(repr=False)
