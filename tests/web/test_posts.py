"""Posts in the browser: writing, answering, liking, editing, deleting, reading on."""

from playwright.sync_api import expect

from tests.web.people import card, choose, write


def test_write(page, ana):
    field = page.get_by_label("Write a post")
    post = page.get_by_role("button", name="Post", exact=True)
    expect(post).to_be_disabled()
    field.fill("x" * 250)
    expect(page.get_by_text("5 characters left")).to_be_attached()
    field.press_sequentially("123456")
    expect(page.get_by_text("1 character too many")).to_be_attached()
    expect(post).to_be_disabled()
    # One character, of two UTF-16 units and four bytes: as the API counts them.
    field.fill("🌳" * 255)
    expect(page.get_by_text("0 characters left")).to_be_attached()
    field.press("Control+Enter")
    expect(page.get_by_role("article")).to_have_count(1)
    expect(field).to_have_value("")
    write(page, "second")
    assert [post["text"] for post in ana.get("/post/").json()] == ["second", "🌳" * 255]


def test_draft_outlives_a_reload(page):
    page.get_by_label("Write a post").fill("half a th")
    page.reload()
    expect(page.get_by_label("Write a post")).to_have_value("half a th")


def test_reply(page, ana, bob):
    post = bob.write("who is there?")
    page.reload()
    card(page, "who is there?").click()
    expect(page.get_by_role("heading", name="Post", exact=True)).to_be_visible()
    page.get_by_label("Write a reply").fill("it is me")
    page.get_by_role("main").get_by_role("button", name="Reply", exact=True).click()
    expect(card(page, "it is me")).to_be_visible()
    (reply,) = ana.get(f"/post/{post['id']}/").json()["replies"]
    assert reply["text"] == "it is me"
    expect(card(page, "who is there?").get_by_role("button", name="1 reply")).to_be_visible()


def test_like_and_take_back(page, ana, bob):
    post = bob.write("like me")
    page.reload()
    like = card(page, "like me").get_by_role("button", name="Like")
    for pressed, count in (("true", 1), ("false", 0)):
        with page.expect_response(f"**/post/{post['id']}/like/"):
            like.click()
            expect(like).to_have_attribute("aria-pressed", pressed)
        assert ana.get(f"/post/{post['id']}/").json()["like_count"] == count


def test_repost_and_bookmark(page, ana, bob):
    post = bob.write("keep me")
    page.reload()
    for name, field in (("Repost", "reposted"), ("Bookmark", "bookmarked")):
        with page.expect_response(f"**/post/{post['id']}/{name.lower()}/"):
            card(page, "keep me").get_by_role("button", name=name).click()
        assert ana.get(f"/post/{post['id']}/").json()[field]
    page.get_by_role("link", name="Bookmarks").click()
    expect(card(page, "keep me")).to_be_visible()


def test_edit(page, ana):
    post = ana.write("with a typpo")
    page.reload()
    choose(card(page, "with a typpo"), "Edit")
    page.get_by_label("Edit the post").fill("without")
    page.get_by_role("button", name="Save").click()
    expect(card(page, "without").get_by_text("edited")).to_be_visible()
    assert ana.get(f"/post/{post['id']}/").json()["text"] == "without"


def test_edit_outlives_a_reload(page, ana):
    ana.write("first")
    page.reload()
    choose(card(page, "first"), "Edit")
    page.get_by_label("Edit the post").fill("first, and mo")
    page.reload()
    choose(card(page, "first"), "Edit")
    expect(page.get_by_label("Edit the post")).to_have_value("first, and mo")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(card(page, "first, and mo")).to_be_visible()
    choose(card(page, "first"), "Edit")
    field = page.get_by_label("Edit the post")
    field.fill("something else")
    page.get_by_role("button", name="Cancel").click()
    choose(card(page, "first"), "Edit")
    expect(field).to_have_value("first, and mo")


def test_edit_that_meets_another_shows_both(page, ana, console):
    console.expects("412")
    post = ana.write("first version")
    page.reload()
    choose(card(page, "first version"), "Edit")
    field = page.get_by_label("Edit the post")
    field.fill("from the page")
    # The field has the text and its ETag by now, as the button waits for that.
    save = page.get_by_role("main").get_by_role("button", name="Save")
    expect(save).to_be_enabled()
    ana.patch(f"/post/{post['id']}/", json={"text": "from the phone"})
    save.click()
    told = page.get_by_role("alert")
    expect(told).to_contain_text("from the phone")
    expect(field).to_have_value("from the page")
    page.get_by_role("button", name="Save mine").click()
    expect(told).to_be_hidden()
    expect(card(page, "from the page")).to_be_visible()
    assert ana.get(f"/post/{post['id']}/").json()["text"] == "from the page"


def test_delete(page, ana):
    post = ana.write("regretted")
    page.reload()
    choose(card(page, "regretted"), "Delete")
    dialog = page.get_by_role("dialog", name="Delete this post?")
    dialog.get_by_role("button", name="Cancel").click()
    expect(card(page, "regretted")).to_be_visible()
    choose(card(page, "regretted"), "Delete")
    dialog.get_by_role("button", name="Delete").click()
    expect(card(page, "regretted")).to_be_hidden()
    assert ana.get(f"/post/{post['id']}/").status_code == 404


def test_reading_on_and_coming_back(page, bob):
    """All posts of a long list, each once; whoever comes back from one is where they were."""
    for number in range(45):
        bob.write(f"number {number:02}")
    page.goto("/")
    for number in reversed(range(45)):
        post = card(page, f"number {number:02}")
        post.scroll_into_view_if_needed()
        expect(post).to_have_count(1)
    middle = card(page, "number 10")
    middle.scroll_into_view_if_needed()
    before = page.evaluate("scrollY")
    middle.click()
    expect(page.get_by_role("heading", name="Post", exact=True)).to_be_visible()
    page.go_back()
    expect(middle).to_be_in_viewport()
    assert page.evaluate("scrollY") == before
