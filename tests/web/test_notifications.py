"""Notifications in the browser: their kinds, what is new, and the number of those not read."""

from playwright.sync_api import expect

from tests.web.people import card

MINUTE = 61_000


def new(page):
    return page.get_by_text("New", exact=True)


def in_bar(page, name):
    return page.get_by_role("navigation", name="Main").get_by_role("link", name=name)


def test_kinds(page, ana, bob):
    post = ana.write("a post of Ana")
    bob.post(f"/user/follow/{ana.id}")
    bob.post(f"/post/{post['id']}/like/")
    bob.post(f"/post/{post['id']}/repost/")
    bob.write("an answer", parent_id=post["id"])
    bob.write("hello @ana")
    page.goto("/notifications")
    articles = page.get_by_role("article")
    sentences = [
        "bob mentioned you",
        "bob replied to your post",
        "bob reposted your post",
        "bob liked your post",
        "bob follows you",
    ]
    expect(articles).to_contain_text(sentences)
    expect(articles.nth(3)).to_contain_text("a post of Ana")
    # What is said to one can be answered there.
    expect(articles.nth(0).get_by_role("button", name="Reply")).to_be_visible()
    kinds = page.get_by_role("navigation", name="Kinds of notifications")
    names = ("Mentions", "Replies", "Reposts", "Likes", "Follows")
    for name, sentence in zip(names, sentences, strict=True):
        kinds.get_by_role("link", name=name).click()
        expect(kinds.locator("[aria-current]")).to_have_text([name])
        expect(articles).to_have_count(1)
        expect(articles).to_contain_text(sentence)
    page.reload()
    expect(articles).to_contain_text(["bob follows you"])
    kinds.get_by_role("link", name="All").click()
    articles.nth(3).get_by_role("link", name="a post of Ana").click()
    expect(page).to_have_url(f"/@ana/{post['id']}")


def test_new_ones_are_read_once_they_are_shown(page, ana, bob):
    post = ana.write("a post of Ana")
    bob.post(f"/post/{post['id']}/like/")
    page.reload()
    expect(page).to_have_title("(1) Home · Pamps")
    expect(in_bar(page, "Notifications")).to_contain_text("1 unread")
    in_bar(page, "Notifications").click()
    expect(page).to_have_title("Notifications · Pamps")
    expect(in_bar(page, "Notifications")).not_to_contain_text("unread")
    assert ana.get("/user/me/").json()["unread_count"] == 0
    # They stay new until one leaves, also among those of a kind.
    expect(new(page)).to_have_count(1)
    page.get_by_role("link", name="Likes", exact=True).click()
    expect(page).to_have_url("/notifications?kind=like")
    expect(new(page)).to_have_count(1)
    in_bar(page, "Home").click()
    expect(card(page, "a post of Ana")).to_be_visible()
    bob.post(f"/post/{post['id']}/repost/")
    in_bar(page, "Notifications").click()
    expect(page.get_by_text("bob reposted your post")).to_be_visible()
    expect(page.get_by_role("article").filter(has=new(page))).to_contain_text(["reposted"])


def test_all_that_is_new_is_marked_however_much(page, ana, bob):
    for number in range(25):
        bob.write(f"@ana {number}")
    page.goto("/notifications")
    expect(page).to_have_title("Notifications · Pamps")
    expect(new(page)).to_have_count(25)


def test_what_arrives_in_an_empty_list_is_shown(page, ana, bob):
    page.clock.install()
    page.goto("/notifications")
    expect(page.get_by_text("Nothing yet.")).to_be_visible()
    bob.follow(ana)
    page.clock.run_for(MINUTE)
    expect(page.get_by_text("bob follows you")).to_be_visible()
    expect(page.get_by_text("Nothing yet.")).to_be_hidden()


def test_what_arrives_is_announced(page, ana, bob, sign_up):
    sign_up("cid").follow(ana)
    page.clock.install()
    page.goto("/notifications")
    expect(page.get_by_text("cid follows you")).to_be_visible()
    bob.post(f"/user/follow/{ana.id}")
    page.clock.run_for(MINUTE)
    expect(page).to_have_title("(1) Notifications · Pamps")
    page.get_by_role("button", name="Show 1 new").click()
    expect(page.get_by_text("bob follows you")).to_be_visible()
    expect(new(page)).to_have_count(2)
    expect(page).to_have_title("Notifications · Pamps")


def test_other_tabs_learn_of_it_when_one_looks_at_them(page, ana, bob):
    other = page.context.new_page()
    bob.post(f"/user/follow/{ana.id}")
    other.clock.install()
    other.goto("/")
    expect(other).to_have_title("(1) Home · Pamps")
    with page.expect_response("**/notifications/read/"):
        page.goto("/notifications")
    other.clock.run_for(MINUTE)
    expect(other).to_have_title("Home · Pamps")
