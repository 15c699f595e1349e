"""Pictures of all pages, with people and posts that look real.

    python -m tests.web.screenshots DIRECTORY [--language pt-BR]
    python -m tests.web.screenshots --readme

The first makes a picture of each page in the directory, light and dark, on a phone and on a wide
screen. The second makes the picture of the README.
"""

import argparse
import contextlib
import tomllib
from collections.abc import Iterator
from pathlib import Path

import httpx
from playwright.sync_api import Browser, Page
from sqlalchemy import make_url

from tests.browser import chromium
from tests.databases import embedded_server, execute, migrated_database
from tests.helpers import User, create_account
from tests.servers import CHECKOUT, served
from tests.web.conftest import DESKTOP, PHONE
from tests.web.pages import visit
from tests.web.people import sign_in

SAMPLE = Path(__file__).with_name("sample.toml")
README = CHECKOUT / "docs" / "images" / "home.png"
LANGUAGES = "en", "pt-BR"
WIDTHS = {"phone": PHONE, "desktop": DESKTOP}
SIGNED_OUT = {"welcome": "/", "sign-in": "/sign-in", "sign-up": "/sign-up"}


def person(address: str, name: str, bio: str) -> User:
    with httpx.Client(base_url=address) as client:
        id_, token = create_account(client, name, bio=bio)
    user = User(base_url=address, headers={"Authorization": f"Bearer {token}"})
    user.id, user.username = id_, name
    return user


def fill(address: str, database: str, language: str) -> dict[str, str]:
    """Store the sample, and return the pages of the first person, by their names."""
    sample = tomllib.loads(SAMPLE.read_text())[language]
    with contextlib.ExitStack() as stack:
        users = [
            stack.enter_context(person(address, each["name"], each["bio"]))
            for each in sample["people"]
        ]
        first, *others = users
        first.follow(*others[:-1])
        for number, other in enumerate(others):
            other.follow(first, *others[number + 1 :: 2], *others[: number // 2])
        authors = {user.username: user for user in users}
        posts: dict[str, dict] = {}
        for number, each in enumerate(sample["posts"]):
            parent = posts[each["to"]]["id"] if "to" in each else None
            post = posts[each["id"]] = authors[each["by"]].write(each["text"], parent)
            change = f"SET date = now() - interval '{each['minutes']} minutes'"
            execute(make_url(database), f"UPDATE post {change} WHERE id = {post['id']}")
            # Each post is liked by others, and by another number of them.
            for user in users[number % 3 : number % 3 + 2 + number * 5 % 6]:
                if user.username != each["by"]:
                    user.like(post)
            if "reposted_by" in each:
                authors[each["reposted_by"]].repost(post)
        for name in ("radio", "train"):
            first.post(f"/post/{posts[name]['id']}/bookmark/").raise_for_status()
        # As old as what they tell of.
        age = "SET date = post.date + interval '2 minutes' FROM post WHERE post.id = post_id"
        execute(make_url(database), f"UPDATE notification {age}")
    tag = posts["seagrass"]["tags"][0]
    names = first.username, posts["train"]["user"]["username"], posts["train"]["id"]
    return {
        "home": "/",
        "timeline": "/timeline",
        "post": f"/@{names[1]}/{names[2]}",
        "likes": f"/@{names[1]}/{names[2]}/likes",
        "profile": f"/@{names[0]}",
        "profile-of-another": f"/@{names[1]}",
        "followers": f"/@{names[0]}/followers",
        "tag": f"/tag/{tag}",
        "search": "/search",
        "search-posts": f"/search?q={'map' if language == 'en' else 'mapa'}",
        "search-people": "/search?q=o&kind=people",
        "notifications": "/notifications",
        "bookmarks": "/bookmarks",
        "settings": "/settings",
        "not-found": "/no/such/page",
    }


@contextlib.contextmanager
def site(language: str) -> Iterator[tuple[str, str, dict[str, str]]]:
    """Pamps with the sample: its address, who looks at it, and the pages."""
    with contextlib.ExitStack() as stack:
        database = stack.enter_context(migrated_database(stack.enter_context(embedded_server())))
        settings = {"PAMPS_DB__uri": database, "PAMPS_RATE_LIMIT__enabled": "false"}
        process, client = stack.enter_context(served(settings))
        try:
            address = str(client.base_url)
            pages = fill(address, database, language)
            yield address, tomllib.loads(SAMPLE.read_text())[language]["people"][0]["name"], pages
        finally:
            process.terminate()


def open_page(browser: Browser, address: str, **options: object) -> Page:
    context = browser.new_context(base_url=address, reduced_motion="reduce", **options)
    return context.new_page()


def take_all(browser: Browser, directory: Path, language: str) -> None:
    with site(language) as (address, name, pages):
        for width, viewport in WIDTHS.items():
            for scheme in ("light", "dark"):
                page = open_page(
                    browser, address, viewport=viewport, color_scheme=scheme, locale=language
                )

                def take(names: dict[str, str], page: Page = page, of: str = f"{width}-{scheme}"):
                    for name, path in names.items():
                        visit(page, path)
                        page.screenshot(path=directory / f"{language}-{name}-{of}.png")

                take(SIGNED_OUT)
                visit(page, "/sign-in")
                sign_in(page, name)
                take(pages)
                page.context.close()


def take_readme(browser: Browser) -> None:
    with site("en") as (address, name, pages):
        page = open_page(browser, address, viewport={"width": 1120, "height": 720}, locale="en")
        visit(page, "/sign-in")
        sign_in(page, name)
        visit(page, pages["home"])
        README.parent.mkdir(exist_ok=True)
        page.screenshot(path=README)
        page.context.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("directory", type=Path, nargs="?", help="where the pictures go")
    parser.add_argument("--language", choices=LANGUAGES, default="en")
    parser.add_argument("--readme", action="store_true", help=f"make {README.name} instead")
    arguments = parser.parse_args()
    if arguments.directory is None and not arguments.readme:
        parser.error("a directory, or --readme")
    with chromium() as browser:
        if arguments.readme:
            take_readme(browser)
        else:
            arguments.directory.mkdir(parents=True, exist_ok=True)
            take_all(browser, arguments.directory, arguments.language)


if __name__ == "__main__":
    main()
