"""Every page, in both languages and both colour schemes, for everybody and on every screen."""

import pytest

from tests.web.axe import violations
from tests.web.conftest import DESKTOP, PHONE
from tests.web.pages import ANONYMOUS, PUBLIC, SIGNED_IN, populate, visit
from tests.web.people import sign_in

# What does not fit beside the edge of the screen, and is not in something that scrolls by itself.
TOO_WIDE = """() => {
    const width = document.documentElement.clientWidth;
    const wide = [...document.querySelectorAll("body *")].filter((element) => {
        const {left, right, width: own} = element.getBoundingClientRect();
        return own > 1 && (right > width + 1 || left < -1) && element.checkVisibility();
    });
    if (document.documentElement.scrollWidth <= width && !wide.length) return [];
    return wide.map((element) => `${element.outerHTML.slice(0, 120)} at ${location}`);
}"""


@pytest.fixture
def paths(sign_up, console) -> list[str]:
    """The addresses of all pages that ana may see."""
    console.expects("404")
    values = populate(sign_up)
    return [path.format(**values) for path in PUBLIC + SIGNED_IN]


# The colours are the same in both languages.
@pytest.mark.parametrize(
    ("locale", "color_scheme", "viewport"),
    [("en-US", "light", DESKTOP), ("pt-BR", "dark", PHONE)],
)
def test_accessibility(open_browser, paths, locale, color_scheme, viewport):
    page = open_browser(locale=locale, color_scheme=color_scheme, viewport=viewport)
    found = []
    for path in ("/", *ANONYMOUS):
        visit(page, path)
        found += [f"{path} signed out: {violation}" for violation in violations(page)]
    visit(page, "/sign-in")
    sign_in(page)
    for path in paths:
        visit(page, path)
        found += [f"{path}: {violation}" for violation in violations(page)]
        assert page.evaluate("document.documentElement.lang") == locale.removesuffix("-US")
    assert not found, "\n".join(found)


@pytest.mark.parametrize(("width", "text_size"), [(320, 100), (1280, 200), (360, 200)])
def test_nothing_is_wider_than_the_screen(open_browser, paths, width, text_size):
    page = open_browser("/sign-in", viewport={"width": width, "height": 640})
    # As the size of text in the settings of a browser does.
    page.add_init_script(f"""
        document.addEventListener("DOMContentLoaded", () => {{
            document.documentElement.style.fontSize = "{text_size}%";
        }});
    """)
    found = []
    for path in ANONYMOUS:
        visit(page, path)
        found += page.evaluate(TOO_WIDE)
    visit(page, "/sign-in")
    sign_in(page)
    for path in paths:
        visit(page, path)
        found += page.evaluate(TOO_WIDE)
    assert not found, "\n".join(found)
