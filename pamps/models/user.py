"""Users: table, queries, requests, responses."""

from typing import Any

import sqlalchemy as sa
from pydantic import BaseModel, Field
from sqlalchemy.orm import Mapped
from sqlalchemy.sql.dml import ReturningInsert, ReturningUpdate
from sqlmodel import SQLModel, col, select

from pamps.models.columns import (
    GIN,
    VIEWER_ID,
    AnySelect,
    Column,
    Condition,
    IdColumn,
    counter,
    flag,
    has_row,
    id_parameter,
    identity,
    text_column,
    unless_anonymous,
)
from pamps.models.notification import Inbox
from pamps.models.password import EXAMPLE_PASSWORD, NewPassword
from pamps.models.types import Bio, Email, PictureUrl, Username, examples


def fold_case_sql(column: Mapped[str] | sa.ColumnElement[str]) -> sa.ColumnElement[str]:
    """Return the SQL of `fold_case`."""
    return sa.func.lower(sa.collate(column, "C"))


# A deleted account's name and e-mail may be taken again while its rows are being deleted.
IS_NAMED_ROW = sa.text("NOT deleted")
FOLDED_USERNAME = fold_case_sql(sa.literal_column("username")).label("folded")
TRIGRAMS = GIN | {"postgresql_ops": {"folded": "gin_trgm_ops"}}


def _unique(name: str) -> sa.Index:
    folded_column = fold_case_sql(sa.literal_column(name))
    return sa.Index(f"uq_user_{name}", folded_column, unique=True, postgresql_where=IS_NAMED_ROW)


class User(SQLModel, table=True):
    """An account. The counters change together with what they count.

    Nobody sees a user who is `deleted`: see docs/decisions/0016-account-deletion.md.
    """

    __table_args__ = (
        _unique("email"),
        _unique("username"),
        sa.Index("ix_user_like", FOLDED_USERNAME, **TRIGRAMS, postgresql_where=IS_NAMED_ROW),
        sa.Index("ix_user_deleted", "id", postgresql_where=sa.text("deleted")),
        sa.CheckConstraint("username ~ '^[A-Za-z0-9_]{1,30}$'", name="username"),
        # A hash, so that a plain password never reaches the disk.
        sa.CheckConstraint(r"password ~ '^\$(argon2|2[abxy]\$)'", name="password"),
        sa.CheckConstraint(
            "least(post_count, follower_count, following_count) >= 0", name="counts"
        ),
    )

    id: int = identity(primary_key=True)
    email: str = text_column()
    email_verified: bool = flag()
    username: str = text_column()
    avatar: str | None = text_column(default=None)
    bio: str | None = text_column(default=None)
    password: str = text_column(repr=False)
    superuser: bool = flag()
    disabled: bool = flag()
    deleted: bool = flag()
    post_count: int = counter()
    follower_count: int = counter()
    following_count: int = counter()


USER_ID = id_parameter("user_id")

# A condition of every query that shows or locks a user.
NOT_DELETED = ~col(User.deleted)
# The user whose name is `username`, a result of `fold_case`.
USERNAME = sa.bindparam("username", type_=sa.Text)
IS_NAMED = (fold_case_sql(col(User.username)) == USERNAME) & NOT_DELETED
IS_VIEWER = (col(User.id) == VIEWER_ID) & NOT_DELETED


def user_not_deleted(user_id: int | IdColumn) -> Condition:
    """Return the condition that a row belongs to a user who is not deleted.

    Few users are ever marked deleted, so reading all their ids once a statement is cheap.
    """
    deleted = select(col(User.id)).where(col(User.deleted)).scalar_subquery()
    return col(user_id) != sa.all_(sa.func.array(deleted))


PUBLIC_COLUMNS = [col(User.id), col(User.username), col(User.avatar), col(User.bio)]
COUNTERS = [col(User.post_count), col(User.follower_count), col(User.following_count)]
PROFILE_COLUMNS = [*PUBLIC_COLUMNS, *COUNTERS]
RELATIONS = ("followed", "follows_you", "blocked", "muted")
_unread = select(col(Inbox.unread_count)).where(col(Inbox.user_id) == User.id).correlate(User)
UNREAD_COUNT: Column = sa.func.coalesce(_unread.scalar_subquery(), sa.literal_column("0"))
OWN_PROFILE_COLUMNS: list[Column | Mapped[Any]] = [
    *PROFILE_COLUMNS,
    *[sa.false().label(name) for name in RELATIONS],
    col(User.email),
    col(User.email_verified),
    col(User.superuser),
    UNREAD_COUNT.label("unread_count"),
]


def users() -> AnySelect:
    """Select what everybody may see of users."""
    return select(*PUBLIC_COLUMNS).where(NOT_DELETED)


def named_profile() -> AnySelect:
    """Select the profile of the named user, as `viewer_id` or an anonymous caller sees it."""
    relations = {
        "followed": has_row("social", from_id=VIEWER_ID, to_id=col(User.id)),
        "follows_you": has_row("social", from_id=col(User.id), to_id=VIEWER_ID),
        "blocked": has_row("block", from_id=VIEWER_ID, to_id=col(User.id)),
        "muted": has_row("mute", from_id=VIEWER_ID, to_id=col(User.id)),
    }
    columns = [unless_anonymous(relations[name]).label(name) for name in RELATIONS]
    return select(*PROFILE_COLUMNS, *columns).where(IS_NAMED)


def own_profile() -> AnySelect:
    return select(*OWN_PROFILE_COLUMNS).where(IS_VIEWER)


def insert_user() -> ReturningInsert[*tuple[Any, ...]]:
    """Insert a user, and return the profile as an anonymous caller sees it."""
    columns = ["email", "username", "avatar", "bio", "password"]
    values = select(*[sa.bindparam(name, type_=sa.Text) for name in columns])
    # The other columns get the defaults of the database.
    user = sa.insert(User).from_select(columns, values, include_defaults=False)
    return user.returning(*PROFILE_COLUMNS, *[sa.null().label(name) for name in RELATIONS])


def update_user() -> ReturningUpdate[*tuple[Any, ...]]:
    """Update the profile of `viewer_id`; a field is written only if `changes_<field>` is true.

    Another e-mail address is not verified.
    """
    columns = {"avatar": col(User.avatar), "bio": col(User.bio), "email": col(User.email)}
    values: dict[str, Column] = {
        name: sa.case(
            (sa.bindparam(f"changes_{name}", type_=sa.Boolean), sa.bindparam(name, type_=sa.Text)),
            else_=column,
        )
        for name, column in columns.items()
    }
    values["email_verified"] = col(User.email_verified) & (col(User.email) == values["email"])
    return sa.update(User).where(IS_VIEWER).values(values).returning(*OWN_PROFILE_COLUMNS)


class UserRequest(NewPassword):
    """A new user."""

    model_config = examples(email="ana@example.com", username="ana", password=EXAMPLE_PASSWORD)

    email: Email
    username: Username
    avatar: PictureUrl | None = None
    bio: Bio | None = None


class UserPatch(BaseModel):
    """Changes of the user's own profile; a field that is left out stays as it is."""

    model_config = examples(bio="Oi!", avatar="https://example.com/ana.png")

    avatar: PictureUrl | None = None
    bio: Bio | None = None
    email: Email = Field(default_factory=str)  # may be left out, but is never null


class UserResponse(BaseModel):
    """What everybody may see of a user."""

    id: int
    username: str
    avatar: str | None
    bio: str | None


Users = list[UserResponse]


class UserProfile(UserResponse):
    """A user and their counts; replies count as posts.

    What is between the user and the caller is null for an anonymous caller.
    """

    post_count: int
    follower_count: int
    following_count: int
    followed: bool | None
    follows_you: bool | None
    blocked: bool | None
    muted: bool | None


class UserMe(UserProfile):
    """The user's own profile, with fields that nobody else sees."""

    email: str
    email_verified: bool
    superuser: bool
    unread_count: int
