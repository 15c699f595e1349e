"""Search for posts, by words and phrases."""

import pytest

from tests.databases import execute, here


@pytest.fixture
def search(api_client):
    def search(q: str) -> list[str]:
        response = api_client.get("/post/search/", params={"q": q})
        assert response.status_code == 200, response.text
        return [post["text"] for post in response.json()]

    return search


TEXTS = [
    "Olá, PÁSSARO!",
    "o pa\N{COMBINING ACUTE ACCENT}ssaro e/ou a ave",
    "ave maria, bom dia",
    "um dia bom — “ótimo”",
    "https://example.com/pássaro?x=1 #são_joão @ana",
    "ΟΔΟΣ ЖЁЛТЫЙ Straße ﬁm",
    "bem-te-vi -12 3.14 <b>x</b>",
]
A, B, C, D, E, F, G = TEXTS
QUERIES = {
    "passaro": [E, B, A],
    "PÁSSARO": [E, B, A],
    "pa\N{COMBINING ACUTE ACCENT}ssaro -ave": [E, A],
    "-ave -ola -bom": [G, F, E],
    "ave": [C, B],
    "ave - maria": [C],
    "av": [],
    "bom dia": [D, C],
    '"bom dia"': [C],
    "“bom dia”": [C],
    '"dia bom" otimo': [D],
    '-"bom dia" dia': [D],
    "maria or ola": [C, A],
    "example.com": [E],
    "#são_joão": [E],
    "@ana": [E],
    "οδός": [F],
    "желтый STRASSE fim": [F],
    "bem-te-vi": [G],
    "te 12 3.14": [G],
    "b": [G],
    "'": [],
    '"': [],
    "- — …": [],
    "|&!():*\\": [],
    "a' & b:* | !c <-> d\\": [],
}


@pytest.mark.parametrize("q", QUERIES)
def test_what_a_search_finds(api_client_user1, search, q):
    for text in TEXTS:
        api_client_user1.write(text)
    assert search(q) == QUERIES[q]


def test_words_of_any_length(api_client_user1, search):
    texts = ["x" * 255, "🐦" * 255, "ﷺ" * 255, "㌀" * 255, "Å" * 255, "'\"\\ " * 60 + "end"]
    for text in texts:
        api_client_user1.write(text)
        assert search(text)[:1] == [text] or text == texts[1]
    assert search("end") == texts[-1:]


def test_an_edited_and_a_deleted_post(api_client_user1, search):
    first, second = api_client_user1.write("old words"), api_client_user1.write("old things")
    api_client_user1.patch(f"/post/{first['id']}/", json={"text": "new words"})
    assert search("old") == ["old things"]
    assert search("new") == ["new words"]
    api_client_user1.delete(f"/post/{second['id']}/")
    assert search("old") == []


def test_what_blocks_and_mutes_hide(api_client_user1, api_client_user2, search):
    post = api_client_user2.write("hidden")
    assert api_client_user1.ids("/post/search/?q=hidden") == [post["id"]]
    for path in ("block", "mute"):
        api_client_user1.post(f"/user/{path}/{api_client_user2.id}")
        assert api_client_user1.ids("/post/search/?q=hidden") == []
        assert search("hidden") == ["hidden"]
        api_client_user1.delete(f"/user/{path}/{api_client_user2.id}")


# Ids on both sides of where blocks begin, and far from each other.
IDS = [1, 4095, 4096, 4097, 8191, 8192, 12288, 131071, 131072, 135168, 262144, 1000000]


@pytest.mark.parametrize("q", ["hello", "-nothing", "hello or x", '"hello world"'])
@pytest.mark.parametrize("limit", [1, 3, 20])
def test_each_post_is_found_once_in_whatever_block(api_client_user1, q, limit):
    path, user_id = f"/post/search/?q={q}&limit={limit}", api_client_user1.id
    rows = ", ".join(f"({id_}, 'Hello, world!', {user_id})" for id_ in IDS)
    execute(here(), f"INSERT INTO post (id, text, user_id) VALUES {rows}")
    found = [post["id"] for page in api_client_user1.walk(path) for post in page]
    assert found == IDS[::-1]
    pages = list(api_client_user1.walk(f"{path}&newer_than=0", "prev"))
    assert [post["id"] for page in pages[::-1] for post in page] == IDS[::-1]


@pytest.mark.parametrize("position", ["cursor", "newer_than"])
def test_the_largest_position(api_client_user1, position):
    api_client_user1.post("/post/", json={"text": "ave"})
    params = {"q": "ave", position: 2**63 - 1}
    response = api_client_user1.get("/post/search/", params=params)
    assert response.status_code == 200
    assert len(response.json()) == (position == "cursor")


def test_a_search_reads_the_index_alone(on_other_database):
    """Also as a statement that PostgreSQL has planned for all values."""
    from pamps.db import engine
    from pamps.routes.post_search import FOUND_POSTS

    with engine.connect() as connection:
        for statement in (
            """INSERT INTO "user" (username, email, password)
               SELECT 'u' || n, n || '@pamps.com', '$argon2$' FROM generate_series(1, 100) n""",
            """INSERT INTO post (text, user_id) SELECT 'word' || n, 1 + n % 100
               FROM generate_series(1, 5000) n""",
            "ANALYZE",
            "SET LOCAL plan_cache_mode = force_generic_plan",
        ):
            connection.exec_driver_sql(statement.replace("%", "%%"))
        for newest_first in (True, False):
            query = FOUND_POSTS._query(newest_first, False, 20)
            values = ", ".join("'word7'" if name == "q" else "1" for name in query._order)
            connection.exec_driver_sql("PREPARE search AS " + query._sql.decode())
            plan = connection.exec_driver_sql(f"EXPLAIN EXECUTE search({values})").scalars().all()
            connection.exec_driver_sql("DEALLOCATE search")
            assert any("Bitmap Index Scan on ix_post_search" in line for line in plan)
            assert not any("Seq Scan on post" in line for line in plan)


def test_a_page_ends_before_too_many_posts_are_compared_with_a_phrase(api_client_user1):
    """The pages lead to all that there is, though one of them is empty."""
    first = f"SELECT text, {api_client_user1.id} FROM unnest(ARRAY['green apple', 'first']) text"
    many = f"SELECT 'apple and green', {api_client_user1.id} FROM generate_series(1, 1500)"
    last = f"VALUES ('a green apple', {api_client_user1.id})"
    for rows in (first, many, last):
        execute(here(), f"INSERT INTO post (text, user_id) {rows}")
    path = '/post/search/?q="green apple"'
    pages = list(api_client_user1.walk(path))
    found = [post["text"] for page in pages for post in page]
    assert found == ["a green apple", "green apple"]
    assert len(pages) == 2
    pages = api_client_user1.walk(f"{path}&newer_than=0", "prev")
    found = [post["text"] for page in pages for post in reversed(page)]
    assert found == ["green apple", "a green apple"]
