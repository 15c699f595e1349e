"""Every route as an anonymous caller, another user, and the owner of what it is about."""

import pytest

from tests.routes import ROUTES, UNDOCUMENTED, content, values


def test_the_table_has_every_route(api_client):
    paths = api_client.get("/openapi.json").json()["paths"]
    documented = sorted(f"{method.upper()} {path}" for path in paths for method in paths[path])
    assert documented == sorted(route.name for route in ROUTES)
    everything = {
        f"{method} {route.path}"
        for route in api_client.app.routes
        for method in route.methods - {"HEAD"}
    }
    assert everything == {*documented, *(f"GET {path}" for path in UNDOCUMENTED)}


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.name)
def test_access(api_client, sign_up, route):
    """The owner calls last: some of these routes delete."""
    owner, other = sign_up("owner"), sign_up("other")
    post_id = owner.write()["id"]
    for number, (client, status) in enumerate(
        zip((api_client, other, owner), (route.anonymous, route.other, route.owner), strict=True)
    ):
        caller = "other" if client is other and not route.form else "owner"
        known = values(owner, post_id, caller, new=f"new{number}")
        response = client.request(
            route.asked, route.address.format(**known), **content(route, known)
        )
        assert response.status_code == status, (number, response.text)
        if "email" in response.text:
            assert route.path in ("/user/me/", "/user/me/export/")
        assert "argon2" not in response.text
