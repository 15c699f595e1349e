"""Settings: where they come from, and what happens when one is wrong."""

import os
import runpy
import tomllib
from typing import Any

import pytest

from tests.servers import CHECKOUT, pamps

SECRET = "0123456789abcdef0123456789abcdef"
WRONG = [
    (
        "PAMPS_DB_URI",
        "postgresql://u:p@h/x",
        "PAMPS_DB_URI: no such setting; did you mean PAMPS_DB__",
    ),
    (
        "PAMPS_SECRET_KEY",
        "x" * 40,
        "PAMPS_SECRET_KEY: no such setting; did you mean PAMPS_SECURITY",
    ),
    (
        "PAMPS_ENVIRONMENT",
        "production",
        "PAMPS_ENVIRONMENT: no such setting; did you mean PAMPS_ENV",
    ),
    ("PAMPS_PORT", "8080", "PAMPS_PORT: no such setting"),
    ("PAMPS_SERVER__port__x", "8080", "PAMPS_SERVER__port__x: no such setting"),
    ("PAMPS_LOG", "debug", "log: must be a table"),
    ("PAMPS_ENV", "staging", "PAMPS_ENV: must be one of development, classroom, testing, "),
    ("PAMPS_DB__uri", "mysql://localhost/x", "db.uri: must be empty or like postgresql://"),
    ("PAMPS_DB__uri", "postgresql://u:p@h:port/x", "db.uri: must be empty or like postgresql://"),
    ("PAMPS_DB__uri", "postgresql://u:p@h:99999/x", "db.uri: must be empty or like postgresql://"),
    ("PAMPS_DB__uri", "postgresql://h:5432,h:0/x", "db.uri: must be empty or like postgresql://"),
    ("PAMPS_DB__uri", "postgresql:///x?host=a,b,c&port=1,2", "db.uri: must have one port, or as"),
    ("PAMPS_DB__replica_uri", "postgresql:///x?host=a&hostaddr=::1,::2", "db.replica_uri: must "),
    ("PAMPS_DB__uri", "sqlite:///x", "db.uri: must be empty or like postgresql://"),
    ("PAMPS_DB__uri", "postgresql://[::1/x", "db.uri: must be empty or like postgresql://"),
    ("PAMPS_DB__uri", "postgresql://h/x?pgbouncer=true", "db.uri: PostgreSQL has no parameter pgb"),
    ("PAMPS_DB__uri", "postgres://u:p@h/x?schema=public", "db.uri: PostgreSQL has no parameter sc"),
    ("PAMPS_DB__uri", "postgresql://u:se@cret@h/x", "db.uri: percent-encode the user and the pass"),
    ("PAMPS_DB__uri", "postgresql://u:secret%@h/x", "db.uri: percent-encode the user and the pass"),
    ("PAMPS_DB__uri", "postgresql://u:se/cret@h/x", "db.uri: percent-encode the user and the pass"),
    ("PAMPS_DB__uri", "postgresql://u:a/b?secret=1@h/x", "db.uri: percent-encode the user and"),
    ("PAMPS_DB__replica_uri", "host=h", "db.replica_uri: must be empty or like postgresql://"),
    ("PAMPS_DB__url", "x", "PAMPS_DB__url: no such setting; did you mean PAMPS_DB__uri?"),
    ("PAMPS_DBX__uri", "x", "PAMPS_DBX__uri: no such setting; did you mean PAMPS_DB__uri?"),
    ("PAMPS_SERVER__port", "70000", "server.port: must be from 1 to 65535"),
    ("PAMPS_METRICS__port", "70000", "metrics.port: must be from 0 to 65535"),
    ("PAMPS_METRICS__port", "-1", "metrics.port: must be from 0 to 65535"),
    ("PAMPS_TELEMETRY__endpoint", "collector:4318", "telemetry.endpoint: must be empty or like"),
    ("PAMPS_TELEMETRY__endpoint", "http://:4318", "telemetry.endpoint: must be empty or like"),
    ("PAMPS_SECURITY__PASSWORD_MIN_LENGTH", "129", "PASSWORD_MIN_LENGTH: must be from 1 to 128"),
    ("PAMPS_SECURITY__ARGON2_PARALLELISM", "8", "ARGON2_MEMORY_COST: must be 8 times"),
    ("PAMPS_DB__connect_args", "{foo=1}", "db.connect_args: invalid dsn"),
    ("PAMPS_DB__echo", "perhaps", "db.echo: must be true or false"),
    ("PAMPS_DB__pool_size", "ten", "db.pool_size: must be a whole number"),
    ("PAMPS_DB__pool_size", "true", "db.pool_size: must be a whole number"),
    ("PAMPS_DB__pool_size", "-1", "db.pool_size: must be from 0 to"),
    ("PAMPS_POST__max_length", "0", "post.max_length: must be from 1 to"),
    ("PAMPS_DB__connect_args", "[1]", "db.connect_args: must be a table"),
    ("PAMPS_DB__connect_args", "{host=[1]}", "db.connect_args: must be a table of texts and whole"),
    ("PAMPS_SECURITY__SECRET_KEY", "", "security.SECRET_KEY: is missing"),
    ("PAMPS_SECURITY__SECRET_KEY", "12345", "security.SECRET_KEY: must be text"),
    ("PAMPS_SECURITY__ALGORITHM", "none", "security.ALGORITHM: must be one of HS256"),
    ("PAMPS_SECURITY__ACCESS_TOKEN_EXPIRE_MINUTES", "-5", "ACCESS_TOKEN_EXPIRE_MINUTES: must be"),
    ("PAMPS_SERVER__trusted_proxies", '["10.0.0.1", "*"]', "server.trusted_proxies: must be addr"),
    ("PAMPS_SERVER__trusted_proxies", "10.0.0.1", 'a list of texts, like ["one", "two"]'),
    ("PAMPS_CORS__allow_origins", "[1, 2]", "cors.allow_origins: must be a list of texts"),
    *(
        ("PAMPS_CORS__allow_origins", f'["https://a.b", "{origin}"]', "cors.allow_origins: must be")
        for origin in (
            "",
            "null",
            "a.b",
            "https://",
            "https://a.b/",
            "https://a.b/path",
            "https://a.b?x",
            "https://a.b c",
            " https://a.b",
            "https://a.b\\n",
            "https://A.b",
            "https://é.b",
            "https://*.b",
            "https://u:p@a.b",
            "https://a.b:",
            "https://a.b:443",
            "http://a.b:80",
            "http://a.b:080",
            "http://a.b:70000",
            "https://a.b,https://c.d",
        )
    ),
    *(
        ("PAMPS_SERVER__root_path", path, "server.root_path: must be empty or like /api")
        for path in ("api", "/", "/api/", "//a.b", "/a b", "/../a", "/a?b", "/é")
    ),
    *(
        ("PAMPS_SERVER__public_url", url, "server.public_url: must be empty or like https://")
        for url in (
            "a.b",
            "//a.b",
            "ftp://a.b",
            "https://:80",
            "https://a.b/",
            "https://a.b/c/",
            "https://u:p@a.b",
            "https://a.b?c",
            "https://a.b#c",
            "https://a.b:70000",
            "https://a.b c",
        )
    ),
    ("PAMPS_RATE_LIMIT__enabled", "perhaps", "rate_limit.enabled: must be true or false"),
    ("PAMPS_RATE_LIMIT__requests", "plenty", "rate_limit.requests: must be like 300/5 minutes"),
    ("PAMPS_RATE_LIMIT__requests", "0/minute", "rate_limit.requests: must be like 300/5 minutes"),
    (
        "PAMPS_RATE_LIMIT__requests",
        "9/0 minutes",
        "rate_limit.requests: must be like 300/5 minutes",
    ),
    ("PAMPS_RATE_LIMIT__requests", "9/minute;2/second", "rate_limit.requests: must be like 300/5"),
    ("PAMPS_RATE_LIMIT__storage_uri", "memcached://x", "rate_limit.storage_uri: must be empty"),
    ("PAMPS_RATE_LIMIT__storage_uri", "redis://:secret@h:port", "storage_uri: must be empty"),
    ("PAMPS_SECURITY__SESSION_EXPIRE_DAYS", "5000000", "SESSION_EXPIRE_DAYS: must be from 1 to"),
    (
        "PAMPS_SECURITY__SECRET_KEY",
        "@int my-secret",
        "PAMPS_SECURITY__SECRET_KEY: cannot be read: ",
    ),
    ("PAMPS_MAIL__from", "", "mail.from: is missing"),
    *(
        ("PAMPS_MAIL__from", sender, "mail.from: must be an address, or like Pamps <pamps@")
        for sender in ("x", "a@b.c\nBcc: d@e.f", "a@b.c, d@e.f", "A <a@b.c> <d@e.f>", "<a@b.c>")
    ),
    ("PAMPS_MAIL__host", "a b", "mail.host: must be empty or a host name or address"),
    ("PAMPS_MAIL__port", "0", "mail.port: must be from 1 to 65535"),
    ("PAMPS_MAIL__tls", "ssl", "mail.tls: must be one of none, starttls, tls"),
    ("PAMPS_MAIL__username", "sender-1", "mail.password: must be set if mail.username is"),
    ("PAMPS_MAIL__password", "secret", "mail.password: must be set if mail.username is"),
    ("PAMPS_POST__max_length", "1.5", "post.max_length: must be a whole number"),
]


def load(monkeypatch: pytest.MonkeyPatch, environment: dict[str, str]) -> Any:
    """Load the settings as a new process would."""
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    return runpy.run_path(str(CHECKOUT / "pamps" / "config.py"))["settings"]


@pytest.mark.parametrize(("name", "value", "words"), WRONG)
def test_a_wrong_value_stops_with_one_line_that_names_it(monkeypatch, name, value, words):
    with pytest.raises(SystemExit) as stop:
        load(monkeypatch, {name: value})
    line = stop.value.code
    assert line.startswith("pamps: ")
    assert words in line
    assert "\n" not in line
    assert len(value) < 5 or value not in line


@pytest.mark.parametrize(
    "secret",
    [
        None,
        "",
        "x" * 31,
        "development-only-secret-that-everyone-can-read",
        "troque_por_favor_no_secrets_toml",
    ],
)
def test_production_refuses_public_and_short_secrets(monkeypatch, secret):
    monkeypatch.delenv("PAMPS_SECURITY__SECRET_KEY")
    environment = {} if secret is None else {"PAMPS_SECURITY__SECRET_KEY": secret}
    with pytest.raises(SystemExit, match=r"security\.SECRET_KEY: "):
        load(monkeypatch, {"PAMPS_ENV": "production"} | environment)


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("PAMPS_DB__echo", "true", "db.echo: must be false in production"),
        ("PAMPS_SECURITY__COOKIE_SECURE", "false", "COOKIE_SECURE: must be true in production"),
        ("PAMPS_CORS__allow_origins", '["*"]', "cors.allow_origins: must name the origins"),
        ("PAMPS_MAIL__host", "mail.pamps.com", "mail: needs server.public_url, with which"),
        ("PAMPS_SECURITY__ALGORITHM", "HS512", "SECRET_KEY: must be a secret of your own, of 64"),
    ],
)
def test_production_refuses(monkeypatch, name, value, words):
    environment = {"PAMPS_ENV": "production", "PAMPS_SECURITY__SECRET_KEY": SECRET, name: value}
    environment["PAMPS_CORS__allow_credentials"] = "true"
    environment["PAMPS_MAIL__from"] = "pamps@pamps.com"
    with pytest.raises(SystemExit, match=words):
        load(monkeypatch, environment)


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        (
            "PAMPS_RATE_LIMIT__storage_uri",
            "redis://127.0.0.1:6379",
            "storage_uri: needs the package",
        ),
        ("PAMPS_TELEMETRY__endpoint", "http://127.0.0.1:4318", "endpoint: needs its packages: pip"),
    ],
)
def test_an_extra_needs_its_packages(monkeypatch, name, value, words):
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(SystemExit, match=words):
        load(monkeypatch, {name: value})


def test_production_with_a_secret(monkeypatch):
    environment = {"PAMPS_ENV": "production", "PAMPS_SECURITY__SECRET_KEY": SECRET}
    loaded = load(monkeypatch, environment)
    assert (loaded.security.PASSWORD_MIN_LENGTH, loaded.security.PASSWORD_REFUSE_WEAK) == (8, True)
    assert loaded.rate_limit.enabled
    assert loaded.log.json_lines
    assert loaded.cors.allow_origins == []


@pytest.mark.parametrize(
    "origin",
    ["*", "https://a.b", "http://localhost:3000", "http://[::1]:3000", "capacitor://localhost"],
)
def test_origins_of_pages(monkeypatch, origin):
    assert load(monkeypatch, {"PAMPS_CORS__allow_origins": f'["{origin}"]'}).cors.allow_origins


def test_every_setting_is_explained():
    lines = (CHECKOUT / "pamps" / "default.toml").read_text().splitlines()
    defaults = tomllib.loads("\n".join(lines))["default"]
    for table in defaults.values():
        for key in table:
            at = next(n for n, line in enumerate(lines) if line.startswith(f"{key} = "))
            before = [line for line in lines[:at] if line.split(" = ")[0] not in table]
            assert before[-1].startswith("#"), key


@pytest.mark.parametrize("prefix", ["postgresql://", "postgres://", "postgresql+psycopg2://"])
def test_every_spelling_means_psycopg2(prefix, monkeypatch):
    from pamps.config import settings
    from pamps.db import database_url

    monkeypatch.setitem(vars(settings.db), "uri", f"{prefix}u:p@h:5432/name")
    url = database_url().render_as_string(hide_password=False)
    assert url == "postgresql+psycopg2://u:p@/name?host=h&port=5432"


def test_later_sources_win(monkeypatch):
    assert load(monkeypatch, {}).post.max_length == 255
    changed = load(monkeypatch, {"PAMPS_POST__max_length": "500"})
    assert (changed.post.max_length, changed.security.ACCESS_TOKEN_EXPIRE_MINUTES) == (500, 30)


def test_zero_is_replaced_by_what_suits_the_machine(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(3)), raising=False)
    fitted = load(monkeypatch, {})
    assert (fitted.server.workers, fitted.db.pool_size) == (3, 8)
    # 40 connections of 20 processes.
    many = load(monkeypatch, {"PAMPS_SERVER__workers": "20"})
    assert (many.server.workers, many.db.pool_size) == (20, 2)
    chosen = load(monkeypatch, {"PAMPS_DB__pool_size": "7"})
    assert (chosen.server.workers, chosen.db.pool_size) == (20, 7)


def test_the_case_of_names_does_not_matter():
    from pamps.config import settings

    assert settings.security.secret_key == settings.SECURITY.Secret_Key
    assert settings.security.secret_key == settings.security.SECRET_KEY
    assert settings.db.pool_size == settings.DB.POOL_SIZE
    for table, name in ((settings, "nothing"), (settings.security, "SECRET"), (settings.db, "URL")):
        with pytest.raises(AttributeError, match=name):
            getattr(table, name)


def test_a_command_stops_with_one_line():
    done = pamps("user-list", PAMPS_DB__echo="perhaps")
    assert (done.returncode, done.stderr) == (1, "pamps: db.echo: must be true or false\n")


def test_production_needs_a_setting_for_the_embedded_database(monkeypatch):
    environment = {"PAMPS_ENV": "production", "PAMPS_SECURITY__SECRET_KEY": SECRET}
    with pytest.raises(SystemExit, match=r"db\.uri: is missing; db\.embedded = true"):
        load(monkeypatch, environment | {"PAMPS_DB__uri": ""})
    assert load(monkeypatch, {"PAMPS_DB__embedded": "true"}).db.uri == ""


@pytest.mark.parametrize(
    "variables",
    [
        {"DYNACONF_DB__pool_size": "7", "DYNACONF_NOTHING": "x"},
        {"MERGE_ENABLED_FOR_DYNACONF": "true", "ENVIRONMENTS_FOR_DYNACONF": "false"},
        {"SETTINGS_FILE_FOR_DYNACONF": "/nowhere.toml", "ROOT_PATH_FOR_DYNACONF": "/nowhere"},
        {"LOADERS_FOR_DYNACONF": "[]", "ENVVAR_PREFIX_FOR_DYNACONF": "OTHER"},
        {"ENV_FOR_DYNACONF": "production", "FORCE_ENV_FOR_DYNACONF": "production"},
        {"PROJECT_ROOT": "/nowhere", "SETTINGS_MODULE": "nothing"},
        {"LOAD_DOTENV_FOR_DYNACONF": "true", "NESTED_SEPARATOR_FOR_DYNACONF": "___"},
        # Variables that Kubernetes sets for services named pamps and pamps-db.
        {"PAMPS_PORT": "tcp://10.0.0.1:80", "PAMPS_PORT_80_TCP": "tcp://10.0.0.1:80"},
        {"PAMPS_PORT_80_TCP_ADDR": "10.0.0.1", "PAMPS_PORT_80_TCP_PROTO": "tcp"},
        {"PAMPS_SERVICE_HOST": "10.0.0.1", "PAMPS_SERVICE_PORT_HTTP": "80"},
        {"PAMPS_DB_SERVICE_PORT": "80", "PAMPS_DB_PORT": "tcp://10.0.0.2:5432"},
        {"PAMPS_DB": "pamps_test"},
    ],
)
def test_variables_of_others_have_no_effect(monkeypatch, variables):
    uri = os.environ["PAMPS_DB__uri"]
    assert load(monkeypatch, {}) == load(monkeypatch, variables)
    loaded = load(monkeypatch, {"PAMPS_POST__max_length": "500"})
    assert (loaded.db.uri, loaded.db.pool_size, loaded.post.max_length) == (uri, 8, 500)
    assert set(variables) <= set(os.environ)
