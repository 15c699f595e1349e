"""Production as `deploy/try.sh` brings it up, through HAProxy and PgBouncer to the primary."""

import os
import re
import subprocess
from collections.abc import Iterator

import pytest
import redis

from tests import canary
from tests.deploy.trials import TRY, Trial, trial
from tests.helpers import USER


@pytest.fixture(scope="module")
def up() -> Iterator[Trial]:
    with trial() as up:
        yield up


def test_a_user_signs_up_writes_and_reads(up):
    client = up.client
    assert client.post("/user/", json=USER).status_code == 201
    token = client.post("/token", data=USER).json()["access_token"]
    headers = {"Authorization": f"Bearer {token}"}
    written = client.post("/post/", json={"text": "Hello"}, headers=headers)
    assert written.status_code == 201
    assert client.get("/post/").json()[0]["text"] == "Hello"
    end = up.query("primary", "SELECT pg_current_wal_lsn()")[0][0]
    replayed = f"SELECT pg_last_wal_replay_lsn() >= '{end}', count(*) FROM post"
    while not (found := up.query("standby", replayed)[0])[0]:
        pass
    assert found == (True, 1)


def test_the_standby_serves_reads(up):
    reading = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%FROM post %'"
    while up.query("standby", reading) == [(0,)]:
        assert up.client.get("/post/").status_code == 200


def test_both_processes_serve_and_count_in_redis(up):
    limits = [up.client.get("/post/").headers["RateLimit-Remaining"] for _ in range(4)]
    assert [int(limit) - int(limits[-1]) for limit in limits] == [3, 2, 1, 0]
    port = up.port("etc/settings.toml", "redis://127.0.0.1:")
    with redis.Redis(port=port) as counts:
        assert counts.keys("LIMITS*/127.0.0.1/*")
    for part in ("api-1", "api-2"):
        log = (up.folder / "log" / part).read_text()
        assert '"path":"/post/"' in log
        canary.assert_unseen(log)


def test_secrets_are_of_the_owner_alone(up):
    assert up.folder.stat().st_mode & 0o777 == 0o700
    secret = re.findall('SECRET_KEY = "(.+)"', (up.folder / "secrets/secrets.toml").read_text())
    assert len(secret[0]) == 96
    for file in (up.folder / "log").iterdir():
        assert secret[0] not in file.read_text()


def test_nothing_is_up(tmp_path):
    environment = os.environ | {"TRY_DIR": str(tmp_path / "none")}
    done = subprocess.run([TRY, "down"], env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (1, "")
    assert "nothing is up" in done.stderr
