"""Profiles and lists of users in the browser: reading, following, muting, blocking."""

from playwright.sync_api import expect

from tests.web.people import card, sign_in


def heading(page, text):
    return page.get_by_role("heading", level=1, name=text, exact=True)


def menu(page, entry):
    """Choose an entry of the menu of a profile."""
    profile = page.get_by_role("region", name="Profile")
    profile.get_by_role("button", name="More").click()
    profile.get_by_role("menuitem", name=entry, exact=True).click()


def click_in_bar(page, name):
    page.get_by_role("navigation", name="Main").get_by_role("link", name=name).click()


def test_profile(page, ana, bob):
    bob.patch("/user/me/", json={"bio": "مرحبا\nhttps://example.com/bob <b>"})
    post = bob.write("a post")
    bob.write("a reply", parent_id=post["id"])
    liked = ana.write("a liked post")
    bob.post(f"/post/{liked['id']}/like/")
    bob.post(f"/user/follow/{ana.id}")
    page.goto("/@BOB")
    expect(heading(page, "bob")).to_be_visible()
    expect(page).to_have_url("/@bob")
    expect(page).to_have_title("(2) bob · Pamps")
    expect(page.get_by_text("Follows you")).to_be_visible()
    expect(page.get_by_text("مرحبا")).to_have_css("direction", "rtl")
    expect(page.get_by_text("<b>")).to_be_visible()
    expect(page.get_by_role("link", name="https://example.com/bob")).to_be_visible()
    expect(page.get_by_text("2 posts")).to_be_visible()
    articles = page.get_by_role("article")
    tabs = page.get_by_role("navigation", name="Lists of the profile")
    for tab, texts in (
        ("Posts", ["a post"]),
        ("With replies", ["a reply", "a post"]),
        ("Likes", ["a liked post"]),
    ):
        tabs.get_by_role("link", name=tab, exact=True).click()
        expect(tabs.locator("[aria-current]")).to_have_text([tab])
        expect(articles).to_contain_text(texts)
    page.reload()
    expect(articles).to_contain_text(["a liked post"])
    page.go_back()
    expect(articles).to_contain_text(["a reply", "a post"])


def test_follow(page, ana, bob):
    bob.write("followed at last")
    page.reload()
    click_in_bar(page, "Timeline")
    expect(page.get_by_text("Nothing here yet")).to_be_visible()
    click_in_bar(page, "Home")
    card(page, "followed at last").get_by_role("link", name="bob").click()
    with page.expect_response(f"**/user/follow/{bob.id}"):
        page.get_by_role("button", name="Follow", exact=True).click()
        expect(page.get_by_role("button", name="Following")).to_be_visible()
        expect(page.get_by_text("1 follower")).to_be_visible()
    # The page of the timeline was kept, and is out of date by the follow.
    click_in_bar(page, "Timeline")
    expect(card(page, "followed at last")).to_be_visible()
    page.go_back()
    with page.expect_response(f"**/user/follow/{bob.id}"):
        page.get_by_role("button", name="Following").click()
    expect(page.get_by_text("0 followers")).to_be_visible()
    assert ana.get("/user/bob/").json()["followed"] is False


def test_follow_is_taken_back_when_it_fails(page, ana, bob, console):
    console.expects("403")
    page.goto("/@bob")
    follow = page.get_by_role("button", name="Follow", exact=True)
    expect(follow).to_be_visible()
    bob.post(f"/user/block/{ana.id}")
    follow.click()
    expect(page.get_by_text("You cannot do this")).to_be_visible()
    expect(follow).to_be_visible()
    expect(page.get_by_text("0 followers")).to_be_visible()


def test_follow_asks_to_sign_in(open_browser, ana, bob):
    page = open_browser("/@bob")
    page.get_by_role("button", name="Follow", exact=True).click()
    sign_in(page)
    expect(heading(page, "bob")).to_be_visible()


def test_block(page, ana, bob):
    bob.write("not for you")
    bob.post(f"/user/follow/{ana.id}")
    page.reload()
    card(page, "not for you").get_by_role("link", name="bob").click()
    menu(page, "Block")
    dialog = page.get_by_role("dialog", name="Block bob?")
    dialog.get_by_role("button", name="Cancel").click()
    expect(card(page, "not for you")).to_be_visible()
    menu(page, "Block")
    dialog.get_by_role("button", name="Block").click()
    expect(page.get_by_text("You have blocked this user")).to_be_visible()
    expect(page.get_by_text("0 following")).to_be_visible()
    expect(page.get_by_text("Follows you")).to_have_count(0)
    expect(page.get_by_role("article")).to_have_count(0)
    # The page that was kept has the post no more.
    click_in_bar(page, "Home")
    expect(heading(page, "Home")).to_be_visible()
    expect(card(page, "not for you")).to_have_count(0)
    page.go_back()
    page.get_by_role("button", name="Unblock").click()
    expect(card(page, "not for you")).to_be_visible()
    assert ana.get("/user/bob/").json()["blocked"] is False


def test_mute(page, ana, bob):
    bob.write("too loud")
    page.reload()
    card(page, "too loud").get_by_role("link", name="bob").click()
    menu(page, "Mute")
    expect(page.get_by_text("Muted", exact=True)).to_be_visible()
    expect(page.get_by_text("no longer show")).to_be_visible()
    click_in_bar(page, "Home")
    expect(heading(page, "Home")).to_be_visible()
    expect(card(page, "too loud")).to_have_count(0)
    page.go_back()
    menu(page, "Unmute")
    expect(page.get_by_text("Muted", exact=True)).to_have_count(0)
    click_in_bar(page, "Home")
    expect(card(page, "too loud")).to_be_visible()


def test_own_profile(page, ana):
    page.goto("/@ana")
    expect(page.get_by_role("link", name="Edit profile")).to_be_visible()
    expect(page.get_by_role("button", name="Follow")).to_have_count(0)


def test_lists_of_users(page, ana, bob):
    post = ana.write("liked")
    bob.post(f"/user/follow/{ana.id}")
    bob.post(f"/post/{post['id']}/like/")
    page.goto("/@ana")
    page.get_by_role("link", name="1 follower").click()
    expect(heading(page, "Followers")).to_be_visible()
    expect(page.get_by_role("article")).to_contain_text(["bob"])
    page.get_by_role("main").get_by_role("link", name="Following", exact=True).click()
    expect(page.get_by_text("Not following anybody yet.")).to_be_visible()
    page.goto(f"/@ana/{post['id']}/likes")
    page.get_by_role("article").get_by_role("link", name="bob").click()
    expect(heading(page, "bob")).to_be_visible()
    page.goto(f"/@ana/{post['id']}/reposts")
    expect(page.get_by_text("Nobody has reposted this post yet.")).to_be_visible()


def test_unknown_users(page, console):
    console.expects("404")
    for path in ("/@nobody", "/@nobody/followers", "/@timeline"):
        page.goto(path)
        expect(page.get_by_text("This user does not exist")).to_be_visible()


def test_profile_keeps_its_place(page, bob):
    for number in range(30):
        bob.write(f"post {number}")
    page.goto("/@bob")
    post = card(page, "post 12")
    post.scroll_into_view_if_needed()
    place = page.evaluate("window.scrollY")
    assert place > 0
    post.click()
    expect(heading(page, "Post")).to_be_visible()
    page.go_back()
    expect(post).to_be_in_viewport()
    assert page.evaluate("window.scrollY") == place
