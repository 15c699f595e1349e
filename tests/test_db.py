"""Queries, and connections that are lost between them."""

from functools import partial

from tests.databases import disconnect, here


def test_a_lost_connection_is_nobody_s_loss(sign_up):
    """What the server closed while it was idle, as it does when it is started again."""
    ana = sign_up("ana")
    for _ in range(3):
        disconnect(here())
        assert ana.post("/post/", json={"text": "hello"}).status_code == 201
        assert ana.patch("/user/me/", json={"bio": "here"}).status_code == 200
        assert ana.get("/post/").status_code == 200


def test_a_statement_that_no_buffer_holds(server):
    """It goes to PostgreSQL in pieces, and so it comes back."""
    from sqlalchemy import Text, bindparam, select

    from pamps.db import Query

    echo = Query(select(bindparam("text", type_=Text).label("text")))
    text = "é" * 2**23
    assert server.portal.call(partial(echo.all, text=text)) == [{"text": text}]
