"""What mails say: templates in each language, as plain text and as HTML."""

from datetime import UTC, datetime
from email.message import EmailMessage
from email.utils import format_datetime, parseaddr
from pathlib import Path
from typing import NamedTuple

from email_validator import validate_email
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from pamps.config import settings

LOADER = FileSystemLoader(Path(__file__).parent / "templates")
# By the layout that a template extends. A text must not be escaped, HTML must.
ENVIRONMENTS = {
    f"layout.{ending}": Environment(
        loader=LOADER,
        autoescape=ending == "html",  # nosec B701
        undefined=StrictUndefined,
        trim_blocks=True,
    )
    for ending in ("txt", "html")
}


class Link(NamedTuple):
    """Where a mail leads to. Without a page there, the `body` for the `route` stands beside it."""

    url: str
    route: str
    body: str


class Recipient(NamedTuple):
    """The user who gets a mail."""

    username: str
    email: str


def write_message(
    kind: str, language: str, recipient: Recipient, link: Link | None, key: bytes, date: datetime
) -> EmailMessage:
    """Return a mail. The same arguments give the same mail, with the same Message-ID."""
    values = {"username": recipient.username, "language": language, "link": link}
    text, html = (
        environment.get_template(f"{language}/{kind}.jinja").render(values | {"layout": layout})
        for layout, environment in ENVIRONMENTS.items()
    )
    subject, _, text = text.partition("\n")
    sender = settings.mail.sender or "Pamps <pamps@localhost>"
    message = EmailMessage()
    message["From"] = sender
    message["To"] = _deliverable(recipient.email)
    message["Subject"] = subject
    message["Date"] = format_datetime(date.replace(tzinfo=UTC))
    message["Message-ID"] = f"<{key.hex()}@{parseaddr(sender)[1].rpartition('@')[2]}>"
    message["Auto-Submitted"] = "auto-generated"  # so that nobody's absence is announced (RFC 3834)
    message.set_content(text.strip() + "\n")
    message.add_alternative(html, subtype="html")
    message["Content-Language"] = language
    return message


def _deliverable(address: str) -> str:
    """Return an address with an ASCII domain, in ASCII altogether if that is possible."""
    valid = validate_email(address, check_deliverability=False, test_environment=True)
    return valid.ascii_email or f"{valid.local_part}@{valid.ascii_domain}"
