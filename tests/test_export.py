"""The export of everything that is a user's."""


def test_head(sign_up):
    """It begins no export, and says what a GET would be called."""
    ana = sign_up("ana")
    whole, head = ana.get("/user/me/export/"), ana.head("/user/me/export/")
    assert (head.status_code, head.content) == (200, b"")
    for name in ("content-type", "content-disposition", "cache-control"):
        assert head.headers[name] == whole.headers[name]
    assert "content-length" not in head.headers
