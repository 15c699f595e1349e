"""Passwords: requests."""

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from pamps.config import settings
from pamps.models.types import Email, Password, SafeText, examples
from pamps.security import is_common_password

# What the documentation shows.
EXAMPLE_PASSWORD = "correct horse battery staple"  # nosec B105


class NewPassword(BaseModel):
    """A new password, and the account that it is for."""

    model_config = ConfigDict(hide_input_in_errors=True)

    email: str
    username: str
    password: Password = Field(repr=False)

    @field_validator("password")
    @classmethod
    def _is_not_weak(cls, password: str, others: ValidationInfo) -> str:
        if settings.security.PASSWORD_REFUSE_WEAK:
            names = {str(value).lower() for value in others.data.values()}
            if password.lower() in names:
                raise PydanticCustomError("password_name", "Password is the name or the e-mail")
            if is_common_password(password):
                raise PydanticCustomError("password_common", "Password is among the most common")
        return password


class PasswordChange(BaseModel):
    """A new password for the current user, and the one that it replaces."""

    model_config = examples(
        current_password=EXAMPLE_PASSWORD, new_password=f"another {EXAMPLE_PASSWORD}"
    )

    current_password: SafeText = Field(repr=False)
    new_password: Password = Field(repr=False)


class ForgottenPassword(BaseModel):
    """The e-mail address of somebody who cannot sign in."""

    model_config = examples(email="ana@example.com")

    email: Email


class PasswordReset(BaseModel):
    """A new password, and the token from the link of a mail."""

    model_config = examples(
        token="what the mail has",  # nosec B106
        new_password=f"another {EXAMPLE_PASSWORD}",
    )

    token: SafeText = Field(repr=False)
    new_password: Password = Field(repr=False)
