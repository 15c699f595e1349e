"""The variant of `deploy/try.sh` in which Patroni promotes the standby."""

from bench.measure import family
from tests.deploy.trials import trial
from tests.helpers import USER, sign_in
from tests.postgresql import end


def test_the_standby_takes_over_when_the_primary_is_killed():
    with trial("--patroni") as up:
        assert up.client.post("/user/", json=USER).status_code == 201
        token = sign_in(up.client, USER["username"])["access_token"]
        headers = {"Authorization": f"Bearer {token}"}
        assert up.client.post("/post/", json={"text": "1"}, headers=headers).status_code == 201
        pid_file = up.folder / "postgres-1" / "postmaster.pid"
        end(*map(int, family(int(pid_file.read_text().split()[0]))))
        headers["Idempotency-Key"] = "2"
        while up.client.post("/post/", json={"text": "2"}, headers=headers).status_code != 201:
            pass  # Patroni gives up the primary, or the other one is not yet promoted
        assert [post["text"] for post in up.client.get("/post/").json()] == ["2", "1"]
        promoted = up.folder / "log" / "postgres-2"
        assert "received promote request" in promoted.read_text()
