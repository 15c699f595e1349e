"""Whether Pamps is ready."""

from sqlalchemy import make_url

from tests.databases import execute, locked
from tests.helpers import refused_for_now
from tests.servers import signed_in


def test_ready(other_database):
    with signed_in(other_database) as client:
        assert client.get("/health/ready").status_code == 200
        execute(make_url(other_database), "UPDATE alembic_version SET version_num = '72c02c3b3d49'")
        assert "older" in refused_for_now(client.get("/health/ready"))
        execute(make_url(other_database), "UPDATE alembic_version SET version_num = 'tomorrow'")
        assert "newer" in refused_for_now(client.get("/health/ready"))
        with locked(other_database, "LOCK alembic_version"):
            assert "within 1 s" in refused_for_now(client.get("/health/ready"))
            assert client.get("/health/live").status_code == 200
