"""Everything by keyboard alone."""

from playwright.sync_api import Locator, Page, expect

from tests import canary
from tests.web.people import card, expect_signed_in

# As many as a page has of what can be focused, above the thing that is looked for.
FAR = 40
# Whether something is drawn around, under or in place of what has the focus.
VISIBLE_FOCUS = """() => {
    const {activeElement: element} = document;
    if (element === document.body) return true;
    const {top, left, bottom, right} = element.getBoundingClientRect();
    const style = getComputedStyle(element);
    const drawn = (style.outlineStyle !== "none" && parseFloat(style.outlineWidth) > 0)
        || style.boxShadow !== "none";
    const inside = bottom > 0 && top < innerHeight && right > 0 && left < innerWidth;
    return (drawn && inside) || element.outerHTML;
}"""


def tab_to(page: Page, target: Locator) -> None:
    """Press Tab until that has the focus, and see at each step where one is."""
    expect(target).to_be_visible()
    for _ in range(FAR):
        if target.evaluate("(element) => element === document.activeElement"):
            return
        page.keyboard.press("Tab")
        assert page.evaluate(VISIBLE_FOCUS) is True
    raise AssertionError(f"cannot be reached by Tab: {target}")


def test_keyboard_alone(open_browser, ana, bob):
    """Sign in, write, like, reply, edit, delete and sign out without a mouse."""
    bob.write("from bob")
    page = open_browser()
    main, menu = page.get_by_role("main"), page.get_by_role("navigation", name="Main")

    # The first stop of every page leads past the menu.
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    expect(main).to_be_focused()

    page.keyboard.press("Shift+Tab")
    tab_to(page, menu.get_by_role("link", name="Sign in"))
    page.keyboard.press("Enter")
    tab_to(page, page.get_by_label("Username"))
    page.keyboard.type("ana")
    tab_to(page, page.get_by_label("Password", exact=True))
    page.keyboard.type(canary.password("ana"))
    page.keyboard.press("Enter")
    expect_signed_in(page)

    tab_to(page, page.get_by_label("Write a post"))
    page.keyboard.type("typed")
    tab_to(page, page.get_by_role("button", name="Post", exact=True))
    page.keyboard.press("Enter")
    expect(card(page, "typed")).to_be_visible()

    tab_to(page, card(page, "from bob").get_by_role("button", name="Like"))
    page.keyboard.press("Space")
    expect(card(page, "from bob").get_by_role("button", pressed=True)).to_have_count(1)
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Shift+Tab")
    expect(card(page, "from bob").get_by_role("button", name="Reply").first).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_label("Write a reply")).to_be_focused()
    page.keyboard.type("to bob")
    page.keyboard.press("Control+Enter")
    expect(page.get_by_label("Write a reply")).to_be_hidden()

    # The menu of a post: by arrows, and Escape leads back to its button.
    page.keyboard.press("Control+Home")
    page.reload()
    more = card(page, "typed").get_by_role("button", name="More")
    tab_to(page, more)
    page.keyboard.press("Enter")
    expect(page.get_by_role("menuitem", name="Edit")).to_be_focused()
    page.keyboard.press("ArrowDown")
    expect(page.get_by_role("menuitem", name="Delete")).to_be_focused()
    page.keyboard.press("Escape")
    expect(more).to_be_focused()

    page.keyboard.press("Enter")
    page.keyboard.press("Enter")
    expect(page.get_by_label("Edit the post")).to_be_focused()
    page.keyboard.press("Control+A")
    page.keyboard.type("typed anew")
    page.keyboard.press("Control+Enter")
    expect(card(page, "typed anew")).to_contain_text("edited")

    # The dialog keeps the focus, and gives it back.
    tab_to(page, more)
    page.keyboard.press("Enter")
    page.keyboard.press("End")
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog")
    for _ in range(4):
        page.keyboard.press("Tab")
        expect(page.locator("body:has(:focus:not(dialog *))")).to_have_count(0)
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    expect(more).to_be_focused()
    page.keyboard.press("Enter")
    page.keyboard.press("End")
    page.keyboard.press("Enter")
    tab_to(page, dialog.get_by_role("button", name="Delete"))
    page.keyboard.press("Enter")
    expect(card(page, "typed anew")).to_be_hidden()

    page.keyboard.press("Control+Home")
    tab_to(page, menu.get_by_role("button", name="Sign out"))
    page.keyboard.press("Enter")
    expect(menu.get_by_role("link", name="Sign in")).to_be_visible()
