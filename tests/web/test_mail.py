"""Pages that the links in mails lead to: a new password, and an e-mail address that is verified."""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from tests import canary
from tests.mailbox import Mailbox, text_of
from tests.servers import served
from tests.web.people import expect_signed_in, expect_signed_out, sign_in

NEW_PASSWORD = canary.password("chosen by mail")


@pytest.fixture(scope="module")
def smtp() -> Iterator[Mailbox]:
    with Mailbox() as smtp:
        yield smtp


@pytest.fixture(scope="module")
def site(smtp) -> Iterator[str]:
    """Pamps, which sends its mail to `smtp`."""
    settings = {"PAMPS_ENV": "testing", "PAMPS_MAIL__port": str(smtp.port)}
    with served(settings) as (process, client):
        try:
            yield str(client.base_url)
        finally:
            process.terminate()


def next_link(smtp: Mailbox, expected_text: str = "") -> str:
    """The link in the next mail, in which there is also this text."""
    text = text_of(smtp.get())
    assert expected_text in text
    return re.search(r"http\S+#token=\S+", text)[0]


def ask_for_link(page: Page, email: str) -> None:
    field = page.get_by_label("E-mail")
    field.fill(email)
    field.press("Enter")
    expect(page.get_by_role("status").filter(has_text=email)).to_be_visible()


def choose_password(page: Page, password: str = NEW_PASSWORD) -> None:
    field = page.get_by_label("New password")
    field.fill(password)
    field.press("Enter")


def test_forgotten_password(open_browser, ana, smtp, console):
    console.expects("403")
    page = open_browser("/sign-in")
    page.get_by_role("link", name="Forgot your password?").click()
    expect(page).to_have_title("Forgot your password? · Pamps")
    ask_for_link(page, "nobody@pamps.com")
    ask_for_link(page, "ana@pamps.com")
    link = next_link(smtp)
    page.goto(link)
    choose_password(page)
    expect(page.get_by_text("Your password is changed. Please sign in with it.")).to_be_visible()
    expect(page.get_by_role("heading", level=1)).to_have_text("Sign in")
    page.get_by_label("Username").fill("ana")
    page.get_by_label("Password").fill(NEW_PASSWORD)
    page.get_by_role("main").get_by_role("button", name="Sign in").click()
    expect_signed_in(page)
    page.goto(link)
    choose_password(page, canary.password("chosen too late"))
    expect(page.get_by_role("alert")).to_have_text("This link has expired or was used.")
    page.get_by_role("link", name="Ask for another link").click()
    expect(page.get_by_label("E-mail")).to_have_value("ana@pamps.com")


def test_the_token_stays_nowhere(open_browser, ana, smtp):
    """It is neither in the address nor in the history, and goes to nobody but the API."""
    page = open_browser("/forgot-password")
    ask_for_link(page, "ana@pamps.com")
    link = next_link(smtp)
    token = link.partition("#token=")[2]
    seen: list[str] = []
    page.on("request", lambda request: seen.append(f"{request.url} {request.all_headers()}"))
    length = page.evaluate("history.length")
    page.goto(link)
    expect(page.get_by_label("New password")).to_be_visible()
    assert page.url == link.partition("#")[0]
    assert page.evaluate("history.length") == length + 1
    page.get_by_role("link", name="Ask for another link").click()
    expect(page).to_have_title("Forgot your password? · Pamps")
    page.go_back()
    expect(page.get_by_label("New password")).to_be_visible()
    assert page.url == link.partition("#")[0]
    stored = "JSON.stringify([history.state, localStorage, sessionStorage, document.cookie])"
    assert token not in page.evaluate(stored)
    page.reload()
    expect(page.get_by_text("Open the link in the mail again.")).to_be_visible()
    # Also in a page that is open already.
    page.evaluate("(link) => { location.href = link; }", link)
    expect(page.get_by_label("New password")).to_be_visible()
    assert page.url == link.partition("#")[0]
    assert [line for line in seen if token in line] == []
    choose_password(page)
    expect(page.get_by_role("heading", level=1)).to_have_text("Sign in")


def test_a_new_password_signs_out_everywhere(page, smtp, console):
    console.expects("403")
    page.goto("/settings")
    page.get_by_role("link", name="Forgot your password?").click()
    expect(page).to_have_title("Forgot your password? · Pamps")
    expect(page.get_by_label("E-mail")).to_have_value("ana@pamps.com")
    ask_for_link(page, "ana@pamps.com")
    page.goto(next_link(smtp))
    choose_password(page)
    expect_signed_out(page)
    expect(page.get_by_role("heading", level=1)).to_have_text("Sign in")


def test_verified_email(page, open_browser, smtp, console):
    console.expects("403")
    page.goto("/settings")
    email = page.get_by_role("region", name="E-mail", exact=True)
    expect(email.get_by_text("Not confirmed")).to_be_visible()
    email.get_by_role("button", name="Send a link to confirm it").click()
    sent = "A mail with a link is on its way to ana@pamps.com."
    expect(page.get_by_text(sent)).to_be_visible()
    link = next_link(smtp)
    elsewhere = open_browser(link)
    elsewhere.get_by_role("button", name="Confirm").press("Enter")
    expect(elsewhere.get_by_text("Your e-mail address is confirmed.")).to_be_visible()
    assert elsewhere.url == link.partition("#")[0]
    # A page that does not know it yet.
    email.get_by_role("button", name="Send a link to confirm it").click()
    expect(email.get_by_text("Confirmed", exact=True)).to_be_visible()
    expect(email.get_by_role("button", name="Send a link")).to_have_count(0)
    page.goto(link)
    page.get_by_role("button", name="Confirm").click()
    expect(page.get_by_role("alert")).to_have_text("This link has expired or was used.")


def test_new_email_is_not_verified(page, ana, smtp):
    page.goto("/settings")
    email = page.get_by_role("region", name="E-mail", exact=True)
    email.get_by_role("button", name="Send a link to confirm it").click()
    page.goto(next_link(smtp))
    page.get_by_role("button", name="Confirm").click()
    expect(page.get_by_text("Your e-mail address is confirmed.")).to_be_visible()
    page.goto("/settings")
    expect(email.get_by_text("Confirmed", exact=True)).to_be_visible()
    email.get_by_label("New e-mail").fill("new@pamps.com")
    email.get_by_label("Your password").fill(canary.password("ana"))
    email.get_by_role("button", name="Change e-mail").click()
    expect(email.get_by_text("Not confirmed")).to_be_visible()
    assert smtp.get()["To"] == "ana@pamps.com"


def test_mails_are_in_the_language_of_the_page(open_browser, ana, smtp):
    page = open_browser("/forgot-password")
    page.get_by_role("button", name="Português (Brasil)").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Esqueceu a senha?")
    ask_for_link(page, "ana@pamps.com")
    page.goto(next_link(smtp, "senha"))
    expect(page.get_by_role("heading", level=1)).to_have_text("Escolha uma nova senha")


def test_without_mail(open_browser, ana):
    """There is nothing of it where Pamps sends none."""
    with served({"PAMPS_ENV": "testing", "PAMPS_MAIL__host": ""}) as (process, client):
        try:
            page = open_browser("/forgot-password", base_url=str(client.base_url))
            expect(page.get_by_role("heading", level=1)).to_have_text("Page not found")
            page.goto("/sign-in")
            sign_in(page)
            page.goto("/settings")
            expect(page.get_by_role("region", name="E-mail", exact=True)).to_be_visible()
            expect(page.get_by_text("onfirmed")).to_have_count(0)
            expect(page.get_by_role("link", name="Forgot")).to_have_count(0)
            page.context.close()
        finally:
            process.terminate()
