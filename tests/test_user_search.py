"""Search for users, by names that begin with a text, or are like it."""

import pytest

from tests.databases import execute, here

NAMES = ["Joao_Silva", "joao", "joaoo", "Joao2", "vinicius", "vinicius_lee", "ana_paula"]
NAMES += ["anabela", "bia"]
QUERIES = {
    "joao": ["joao", "Joao2", "Joao_Silva", "joaoo"],
    "JOÃO": ["joao", "Joao2", "Joao_Silva", "joaoo"],
    "@joao_s": ["Joao_Silva", "joao"],
    "João S.": ["Joao_Silva", "joao"],
    "ana": ["ana_paula", "anabela"],
    "ana%": ["ana_paula", "anabela"],
    "vinicus": ["vinicius"],
    "silva joao": ["Joao_Silva"],
    "b": ["bia"],
    "_": [],
    "@": [],
    "日本": [],
    "x" * 255: [],
}


@pytest.fixture
def people(sign_up):
    for name in NAMES:
        sign_up(name)


@pytest.fixture
def search(api_client):
    def search(q: str, **params: object) -> list[str]:
        response = api_client.get("/user/search/", params={"q": q} | params)
        assert response.status_code == 200, response.text
        return [user["username"] for user in response.json()]

    return search


def test_what_a_search_finds(people, search):
    assert {q: search(q) for q in QUERIES} == QUERIES


def test_names_that_are_like_it_fill_the_last_page(people, search, api_client):
    def pages(path: str) -> list[list[str]]:
        return [[user["username"] for user in page] for page in api_client.walk(path)]

    assert pages("/user/search/?q=joao&limit=2") == [["joao", "Joao2"], ["Joao_Silva", "joaoo"]]
    assert pages("/user/search/?q=vinicius&limit=1") == [["vinicius"], ["vinicius_lee"]]
    assert pages("/user/search/?q=joaoo&limit=1") == [["joaoo"]]
    assert pages("/user/search/?q=joaoo&limit=2") == [["joaoo", "joao"]]
    assert pages("/user/search/?q=joaoo&limit=3") == [["joaoo", "joao", "Joao2"]]


def test_deleted_users_are_not_found(people, search, sign_up):
    doomed = sign_up("doomed")
    assert search("doomed") == search("domed") == ["doomed"]
    execute(here(), "UPDATE \"user\" SET deleted = true WHERE username = 'doomed'")
    assert search("doomed") == search("domed") == []
    execute(here(), 'DELETE FROM "user" WHERE deleted')
    assert doomed.get("/user/me/").status_code == 401


@pytest.mark.parametrize("cursor", ["", "A", "ana!", "x" * 31, "\0", "a\n"])
def test_bad_cursor(api_client, cursor):
    response = api_client.get("/user/search/", params={"q": "a", "cursor": cursor})
    assert response.status_code == 422
    assert response.json()["detail"][0]["loc"] == ["query", "cursor"]


@pytest.mark.parametrize("q", ["", " ", "\u200b", "x" * 256])
@pytest.mark.parametrize("path", ["/user/search/", "/post/search/"])
def test_a_search_for_nothing(api_client, path, q):
    for params in ({"q": q}, {}):
        response = api_client.get(path, params=params)
        assert response.status_code == 422
        assert response.json()["detail"][0]["loc"] == ["query", "q"]
