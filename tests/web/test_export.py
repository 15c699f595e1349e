"""Saving everything that is one's own, from the settings."""

import json
import os

import pytest
from playwright.sync_api import Download, Locator, Page, expect
from sqlalchemy import make_url

from tests import canary
from tests.databases import execute
from tests.servers import served
from tests.web.conftest import PHONE
from tests.web.people import sign_in
from tests.web.test_connection import LOST


def ask(page: Page, password: str) -> Locator:
    """Ask for the file on the page of the settings."""
    section = page.get_by_role("region", name="Export your data", exact=True)
    section.get_by_label("Your password").fill(password)
    section.get_by_role("button", name="Export", exact=True).click()
    return section


def save(page: Page) -> dict:
    with page.expect_download() as download:
        section = ask(page, canary.password("ana"))
    assert download.value.suggested_filename.startswith("pamps-ana-2")
    expect(section.get_by_role("button", name="Export", exact=True)).to_be_enabled()
    expect(section.get_by_label("Your password")).to_have_value("")
    return json.loads(download.value.path().read_text())


def test_export(page, ana, bob):
    ana.write("mine, with é and 🌳")
    ana.like(bob.write("not mine"))
    page.goto("/settings")
    sessions = len(ana.get("/user/me/sessions/").json())
    exported = save(page)
    texts = [post["text"] for post in exported["posts"]]
    assert texts == ["mine, with é and 🌳"]
    assert len(exported["likes"]) == 1
    # What it took to prove the password leaves nothing behind.
    assert len(ana.get("/user/me/sessions/").json()) == sessions


def test_wrong_password(page):
    page.set_viewport_size(PHONE)
    page.goto("/settings")
    section = ask(page, "wrong")
    expect(section.get_by_role("alert")).to_have_text("The current password is wrong.")
    save(page)


def test_too_many_exports(open_browser, ana, console):
    console.expects("429")
    limit = {"PAMPS_RATE_LIMIT__enabled": "true", "PAMPS_RATE_LIMIT__exports": "1/day"}
    with served({"PAMPS_ENV": "testing"} | limit) as (process, client):
        try:
            page = open_browser("/sign-in", base_url=str(client.base_url))
            sign_in(page)
            page.goto("/settings")
            save(page)
            section = ask(page, canary.password("ana"))
            told = "Too many attempts. Try again in 24 hours."
            expect(section.get_by_role("alert")).to_have_text(told)
            page.context.close()
        finally:
            process.terminate()


@pytest.mark.parametrize("cuts", [True, False])
def test_export_that_breaks_off(open_browser, way, ana, console, cuts):
    """A part of the file is not saved as if it were all of it."""
    console.expects(LOST)
    # More than comes at once.
    posts = f"SELECT {ana.id}, repeat('long ', 50) FROM generate_series(1, 1000)"
    execute(make_url(os.environ["PAMPS_DB__uri"]), f"INSERT INTO post (user_id, text) {posts}")
    page = open_browser("/sign-in", base_url=way.address)
    sign_in(page)
    page.goto("/settings")
    (way.cut if cuts else way.lose)("GET /user/me/export/")
    downloads: list[Download] = []
    page.on("download", lambda download: downloads.append(download))
    section = ask(page, canary.password("ana"))
    expect(section.get_by_role("alert")).to_have_text("Pamps could not be reached.")
    way.release()
    save(page)
    assert len(downloads) == 1
