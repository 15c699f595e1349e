"""Tags of answers that nginx compresses on the way."""

from tests.proxies.servers import nginx, sign_up

GZIP = """
gzip on;
gzip_types application/json;
gzip_min_length 1;
gzip_proxied any;
gzip_http_version 1.0;
location / { proxy_pass http://pamps; }
"""


def test_what_nginx_compresses(pamps):
    with nginx(pamps, GZIP) as client:
        sign_up(client)
        post = client.post("/post/", json={"text": "hello" * 50}).json()
        path, change = f"/post/{post['id']}/", {"text": "hello" * 50}
        for address in (path, "/post/", "/user/me/"):
            first = client.get(address)
            assert first.headers["content-encoding"] == "gzip"
            assert first.headers["etag"].startswith('W/"')
            again = client.get(address, headers={"If-None-Match": first.headers["etag"]})
            assert (again.status_code, again.content) == (304, b"")
        seen = {"If-Match": client.get(path).headers["etag"]}
        assert client.post(f"{path}like/").status_code == 201
        assert client.patch(path, json=change, headers=seen).status_code == 200
        assert client.patch(path, json={"text": "other"}, headers=seen).status_code == 200
        assert client.patch(path, json=change, headers=seen).status_code == 412
        mine = {"If-Match": client.get("/user/me/").headers["etag"]}
        assert client.patch("/user/me/", json={"bio": "x"}, headers=mine).status_code == 200
        assert client.patch("/user/me/", json={"bio": "y"}, headers=mine).status_code == 412
