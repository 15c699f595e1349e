"""Users and who follows whom: tables, queries, requests, responses."""

from datetime import datetime
from string import ascii_lowercase, ascii_uppercase
from typing import Annotated, Any

import email_validator
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field as Limit,
    StringConstraints,
    ValidationInfo,
    WithJsonSchema,
    field_validator,
)
from pydantic_core import PydanticCustomError
from sqlalchemy import (
    CheckConstraint,
    Index,
    Integer,
    all_,
    cast,
    collate,
    func,
    text,
    update,
)
from sqlmodel import Session, SQLModel, col, select
from sqlmodel.sql.expression import SelectOfScalar

from pamps.config import settings
from pamps.models.columns import (
    VIEWER_ID,
    Statement,
    counter,
    created,
    flag,
    id_parameter,
    identity,
    insert_or_get,
    reference,
    text_column,
)
from pamps.models.types import VISIBLE_PATTERN, PictureUrl, Text, examples, storable, visible
from pamps.security import is_common_password

# Words of the API's paths, those of planned routes included: a name must not be taken for one.
RESERVED_NAMES = """
    api auth block blocks bookmark bookmarks disable docs email export feed follow follower
    followers following forgot health home like likes live login logout me metrics mute mutes
    notifications openapi password post posts read redoc refresh_token replies reply repost
    reposts reset search session sessions settings tag ticket timeline token user users verify
""".split()  # noqa: SIM905


# A deleted account's name and e-mail may be taken again while its rows are still being deleted.
NAMED = text("NOT deleted")


# The one rule by which names and e-mails are the same: ASCII letters alone have case, so that it is
# the same here and in a database of any language. In Turkish the small letter of I is no i.
FOLD = str.maketrans(ascii_uppercase, ascii_lowercase)


def folded(value: str) -> str:
    """A name or an e-mail as they are compared."""
    return value.translate(FOLD)


def fold(column: Any) -> Any:
    """The same in SQL."""
    return func.lower(collate(column, "C"))


class User(SQLModel, table=True):
    """Somebody who can sign in. The counters change together with what they count.

    A user who is `deleted` is shown to nobody: see docs/decisions/0016-account-deletion.md.
    """

    __table_args__ = (
        Index("uq_user_email", fold(text("email")), unique=True, postgresql_where=NAMED),
        Index("uq_user_username", fold(text("username")), unique=True, postgresql_where=NAMED),
        Index("ix_user_deleted", "id", postgresql_where=text("deleted")),
        CheckConstraint("username ~ '^[A-Za-z0-9_]{1,30}$'", name="username"),
        # A hash in its modular form: a plain password never gets as far as the disk.
        CheckConstraint(r"password ~ '^\$(argon2|2[abxy]\$)'", name="password"),
        CheckConstraint("least(post_count, follower_count, following_count) >= 0", name="counts"),
    )

    id: int = identity(primary_key=True)
    email: str = text_column()
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


class Social(SQLModel, table=True):
    """`from_id` follows `to_id`. The order of the ids is the order in which it happened."""

    __table_args__ = (
        Index("ix_social_followers", "to_id", "id"),
        Index("ix_social_following", "from_id", "id"),
        CheckConstraint("from_id <> to_id", name="not_self"),
    )

    from_id: int = reference("user.id", caller=True, primary_key=True)
    to_id: int = reference("user.id", primary_key=True)
    id: int = identity()
    date: datetime = created()


USER_ID = id_parameter("user_id")


# Holds for the users there are. Whoever selects or locks a user for somebody else to see says it.
NOT_DELETED = ~col(User.deleted)


def of_existing(user_id: Any) -> Any:
    """Hold for what belongs to a user who is not deleted, without reading that user.

    There are hardly ever deleted users, so their ids are read once for a statement.
    """
    deleted = select(User.id).where(col(User.deleted)).scalar_subquery()
    return user_id != all_(func.array(deleted))


def user_named(username: Any) -> SelectOfScalar[User]:
    """The user of that folded name."""
    return select(User).where(fold(User.username) == username, NOT_DELETED)


def get_user(session: Session, user_id: int, **lock: Any) -> User | None:
    """Read a user from the database, and not from what the session knows; None if deleted."""
    query = select(User).where(col(User.id) == user_id, NOT_DELETED)
    if lock:
        query = query.with_for_update(**lock)
    return session.exec(query.execution_options(populate_existing=True)).first()


def lock_user(session: Session, user_id: int) -> User | None:
    """Lock a user until the transaction ends, and read what they are then; None if deleted."""
    return get_user(session, user_id, key_share=True)


def users() -> Statement:
    """What everybody may see of users."""
    columns: Any = (User.id, User.username, User.avatar, User.bio)
    query: Statement = select(*columns)
    return query.where(NOT_DELETED)


def profiles() -> Statement:
    counts: Any = (User.post_count, User.follower_count, User.following_count)
    return users().add_columns(*counts)


def followers(user_id: Any) -> Statement:
    return users().join(Social, col(Social.from_id) == User.id).where(Social.to_id == user_id)


def following(user_id: Any) -> Statement:
    return users().join(Social, col(Social.to_id) == User.id).where(Social.from_id == user_id)


def follow() -> Statement:
    """Makes `viewer_id` follow `user_id`; says since when, and whether that is new.

    Gives nothing where one of them does not exist, or `viewer_id` follows as many as is allowed.
    """
    both = col(User.id).in_((VIEWER_ID, USER_ID))
    # First the users, by their ids: see docs/decisions/0006-counters.md.
    users = select(User.id, User.following_count).where(both, NOT_DELETED).order_by(col(User.id))
    locked = users.with_for_update(key_share=True).cte("locked")
    following_count = func.max(locked.c.following_count).filter(locked.c.id == VIEWER_ID)
    may: Statement = select(func.count().label("users")).select_from(locked)
    may = may.having(func.count() == 2, following_count < settings.social.max_following)
    added = insert_or_get(Social, (VIEWER_ID, USER_ID), may)
    counted = (
        update(User)
        .where(both, added.c.created)
        .values(
            following_count=User.following_count + cast(User.id == added.c.from_id, Integer),
            follower_count=User.follower_count + cast(User.id == added.c.to_id, Integer),
        )
    )
    query: Statement = select(*added.c)
    return query.add_cte(counted.cte("counted"))


def follow_of() -> Statement:
    """Since when `viewer_id` follows the user `user_id`, all null if they do not."""
    columns: Any = (Social.from_id, Social.to_id, Social.date)
    query: Statement = select(*columns).select_from(User)
    theirs = (col(Social.to_id) == User.id) & (col(Social.from_id) == VIEWER_ID)
    return query.outerjoin(Social, theirs).where(col(User.id) == USER_ID, NOT_DELETED)


def _email(value: str) -> str:
    try:
        # Nobody gets mail from Pamps, so an address for tests (RFC 6761) is as good as any.
        return email_validator.validate_email(
            value, check_deliverability=False, test_environment=True
        ).normalized
    except email_validator.EmailNotValidError:
        # The library's own messages quote what was sent.
        raise PydanticCustomError("email", "Input should be a valid e-mail address") from None


def _not_reserved(name: str) -> str:
    if folded(name) in RESERVED_NAMES:
        raise PydanticCustomError("username_reserved", "This name is a word of the API's paths")
    return name


# Blanks around a name or an address are stripped: they come from keyboards that complete words.
Email = Annotated[
    str,
    StringConstraints(strip_whitespace=True, max_length=254),
    AfterValidator(_email),
    storable,
    WithJsonSchema({"type": "string", "format": "email", "maxLength": 254}),
]
Username = Annotated[
    str,
    StringConstraints(strip_whitespace=True, pattern="^[A-Za-z0-9_]{1,30}$"),
    AfterValidator(_not_reserved),
    storable,
]
Password = Annotated[
    str, Limit(min_length=settings.security.PASSWORD_MIN_LENGTH, max_length=128), storable
]
Bio = Annotated[
    str,
    Limit(max_length=1000, json_schema_extra={"pattern": f"^$|{VISIBLE_PATTERN}"}),
    visible,
    storable,
]


# What the documentation shows.
EXAMPLE_PASSWORD = "correct horse battery staple"  # nosec B105


class NewPassword(BaseModel):
    """A password to be set, and whose it will be."""

    model_config = ConfigDict(hide_input_in_errors=True)

    email: str
    username: str
    password: Password = Limit(repr=False)

    @field_validator("password")
    @classmethod
    def _is_not_weak(cls, password: str, others: ValidationInfo) -> str:
        if settings.security.PASSWORD_REFUSE_WEAK:
            theirs = {str(value).lower() for value in others.data.values()}
            if password.lower() in theirs:
                raise PydanticCustomError("password_name", "Password is the name or the e-mail")
            if is_common_password(password):
                raise PydanticCustomError("password_common", "Password is among the most common")
        return password


class UserRequest(NewPassword):
    """A new user."""

    model_config = examples(email="ana@example.com", username="ana", password=EXAMPLE_PASSWORD)

    email: Email
    username: Username
    avatar: PictureUrl | None = None
    bio: Bio | None = None

    def user(self, password_hash: str) -> User:
        """The row to store. There is no other way to make one."""
        return User(**self.model_dump(exclude={"password"}), password=password_hash)


class PasswordChange(BaseModel):
    """A new password for the caller, and the one that it replaces."""

    model_config = examples(
        current_password=EXAMPLE_PASSWORD, new_password=f"another {EXAMPLE_PASSWORD}"
    )

    current_password: Text = Limit(repr=False)
    new_password: Password = Limit(repr=False)


class UserPatch(BaseModel):
    """Changes of the caller's own profile; what is left out stays as it is."""

    model_config = examples(bio="Oi!", avatar="https://example.com/ana.png")

    avatar: PictureUrl | None = None
    bio: Bio | None = None
    email: Email = Limit(default_factory=str)  # may be left out, but is never null


class UserResponse(BaseModel):
    """What everybody may see of a user."""

    id: int
    username: str
    avatar: str | None
    bio: str | None


Users = list[UserResponse]


class UserProfile(UserResponse):
    """A user and their counts; replies count as posts."""

    post_count: int
    follower_count: int
    following_count: int


class UserMe(UserProfile):
    """The caller's own profile, with what nobody else sees."""

    email: str
    superuser: bool


class SocialResponse(BaseModel):
    """`from_id` follows `to_id` since `date`."""

    from_id: int
    to_id: int
    date: datetime
