"""The documentation in Portuguese."""

import base64
import hashlib
import re
from collections.abc import Iterator

import pytest

PORTUGUESE = "/openapi.json?lang=pt-BR"


def texts(value: object) -> Iterator[str]:
    """The summaries and descriptions of a document, each on one line."""
    if isinstance(value, list):
        for item in value:
            yield from texts(item)
    elif isinstance(value, dict):
        for name, item in value.items():
            if name in ("summary", "description") and isinstance(item, str):
                yield " ".join(item.split())
            else:
                yield from texts(item)


def test_every_text_has_a_translation(api_client):
    """What is missing here, or no longer in the document, is to be changed in the catalogue."""
    from pamps.translation import catalogue

    found = set(texts(api_client.get("/openapi.json").json()))
    assert found - set(catalogue()) == set()
    assert set(catalogue()) - found == set()


def test_the_document(api_client):
    english, portuguese = (api_client.get(path).json() for path in ("/openapi.json", PORTUGUESE))
    like = portuguese["paths"]["/post/{post_id}/like/"]["post"]
    assert (like["summary"], like["description"]) == ("Curtir postagem", "Curte uma postagem.")
    # Nothing else is different, least of all what generators of clients read.
    for document in (english, portuguese):
        remove_texts(document)
    assert english == portuguese


def remove_texts(value: object) -> None:
    for item in value.values() if isinstance(value, dict) else value:
        if isinstance(item, dict | list):
            remove_texts(item)
    if isinstance(value, dict):
        for name in ("summary", "description"):
            if isinstance(value.get(name), str):
                del value[name]


def test_the_document_has_a_language_only_by_its_address(api_client):
    plain = api_client.get("/openapi.json")
    for query, language in (("", "pt-BR"), ("?lang=en", "pt-BR"), ("?lang=de", ""), ("?lang=", "")):
        headers = {"Accept-Language": language}
        other = api_client.get(f"/openapi.json{query}", headers=headers)
        assert other.content == plain.content
        assert "vary" not in other.headers
    assert api_client.get("/openapi.json?lang=pt").content == api_client.get(PORTUGUESE).content


@pytest.mark.parametrize(
    ("query", "accepted", "language"),
    [
        ("", "", "en"),
        ("", "pt-BR,pt;q=0.9,en;q=0.8", "pt-BR"),
        ("", "de, pt-PT;q=0.5, en;q=0.4", "pt-BR"),
        ("", "en-US,en;q=0.9,pt;q=0.8", "en"),
        ("", "pt;q=0", "en"),
        ("?lang=pt-BR", "en", "pt-BR"),
        ("?lang=en", "pt-BR", "en"),
    ],
)
@pytest.mark.parametrize("slash", ["", "/"])
def test_the_page(api_client, query, accepted, language, slash):
    headers = {"Accept-Language": accepted} if accepted else {}
    page = api_client.get(f"/docs{slash}{query}", headers=headers)
    assert page.headers["Content-Language"] == language
    assert "Accept-Language" in page.headers["Vary"]
    assert f'<html lang="{language}">' in page.text
    (address,) = re.findall("url: '([^']+)'", page.text)
    assert address.endswith("openapi.json" if language == "en" else PORTUGUESE.lstrip("/"))
    (script,) = re.findall("<script>(.*?)</script>", page.text, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"'sha256-{digest}'" in page.headers["Content-Security-Policy"]


def test_errors_stay_english(api_client):
    answer = api_client.get("/user/nobody/", headers={"Accept-Language": "pt-BR"})
    assert answer.json() == {"detail": "User not found"}
