"""The connection to the SMTP server, and what its errors mean."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import aiosmtplib
from aiosmtplib import SMTP

from pamps.config import settings

# How long the server may take for one command, and for its farewell, in seconds.
COMMAND_SECONDS = 60
QUIT_SECONDS = 2
# What a server says of one mail. All other errors are of all mails, as they have the same sender.
ERRORS_OF_MAIL = (
    aiosmtplib.SMTPRecipientsRefused,
    aiosmtplib.SMTPDataError,
    aiosmtplib.SMTPNotSupported,
)


@asynccontextmanager
async def open_connection() -> AsyncIterator[SMTP]:
    """Connect to the server, and sign in if there is a user name.

    Raises aiosmtplib.SMTPException and OSError.
    """
    mail = settings.mail
    client = SMTP(
        hostname=mail.host,
        port=mail.port,
        username=mail.username or None,
        password=mail.password or None,
        use_tls=mail.tls == "tls",
        start_tls=mail.tls == "starttls",
        timeout=COMMAND_SECONDS,
    )
    try:
        await client.connect()
        yield client
        with suppress(aiosmtplib.SMTPException):
            await client.quit(timeout=QUIT_SECONDS)
    finally:
        # Not by `async with`, which would wait for a server that hangs.
        client.close()


def _code(error: BaseException) -> int | None:
    """Return the code of the server's reply (RFC 5321, section 4.2), if it has replied."""
    if isinstance(error, aiosmtplib.SMTPRecipientsRefused):
        error = error.recipients[0]  # there is one
    return error.code if isinstance(error, aiosmtplib.SMTPResponseException) else None


def is_permanent(error: BaseException) -> bool:
    """Tell whether a mail can never be sent: the server has refused it for good."""
    code = _code(error)
    return isinstance(error, ERRORS_OF_MAIL) and (code is None or code >= 500)


def describe(error: BaseException) -> str:
    """Return what went wrong, without the server's words, which may quote what was sent to it."""
    name = type(error).__name__
    if code := _code(error):
        return f"{name} {code}"
    is_of_network = isinstance(error, OSError | aiosmtplib.SMTPException)
    return f"{name}: {error}" if is_of_network else name
