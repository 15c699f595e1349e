"""The declaration of all settings: their types, limits and rules.

Their defaults and meanings are in default.toml. If the rule of a field needs another field, that
other one comes first.
"""

from typing import TYPE_CHECKING, Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationInfo, field_validator

from pamps.postgres import address
from pamps.setting_types import (
    Count,
    CountOrZero,
    Endpoint,
    HostName,
    MailSender,
    Network,
    Origin,
    PublicURL,
    RateLimit,
    RedisURI,
    RootPath,
    Timeout,
    matching,
)

# Secrets that are published: the one in this repository, and the one of the workshop.
PUBLIC_SECRETS = ("development-only", "troque_por_favor")
# The minimum length of the key for each algorithm, in bytes (RFC 7518, section 3.2).
KEY_BYTES = {"HS256": 32, "HS384": 48, "HS512": 64}

Algorithm = Annotated[str, matching("|".join(KEY_BYTES), f"must be one of {', '.join(KEY_BYTES)}")]

TLS = Annotated[str, matching("none|starttls|tls", "must be one of none, starttls, tls")]


def _in_production(info: ValidationInfo) -> bool:
    return bool(info.context and info.context["environment"] == "production")


class SettingsTable(BaseModel):
    """A table of default.toml. Values are not converted: the text "5" is not a number."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> object:
            """Ignore the case of names, as dynaconf does: `settings.security.secret_key`."""
            names = {field.lower(): field for field in type(self).model_fields}
            declared = names.get(name.lower(), name)
            return super().__getattr__(name) if declared == name else getattr(self, declared)


class DatabaseSettings(SettingsTable):
    embedded: bool
    embedded_dir: str
    uri: str
    replica_uri: str
    connect_args: Annotated[dict[str, str | int], AfterValidator(address.check_arguments)]
    echo: bool
    pool_size: CountOrZero
    prepared_statements: bool
    connect_timeout: Timeout
    statement_timeout: Timeout
    lock_timeout: Timeout
    idle_in_transaction_timeout: Timeout

    @field_validator("uri", "replica_uri")
    @classmethod
    def _check_uri(cls, uri: str, info: ValidationInfo) -> str:
        if uri:
            address.parse(uri)
        elif info.field_name == "uri" and not info.data.get("embedded"):
            raise ValueError("is missing; db.embedded = true uses the PostgreSQL in Pamps")
        return uri

    @field_validator("echo")
    @classmethod
    def _check_echo(cls, echo: bool, info: ValidationInfo) -> bool:
        if echo and _in_production(info):
            raise ValueError("must be false in production: its log must not have statements")
        return echo


class SecuritySettings(SettingsTable):
    ALGORITHM: Algorithm
    SECRET_KEY: str = Field(repr=False)
    ACCESS_TOKEN_EXPIRE_MINUTES: Count
    REFRESH_TOKEN_EXPIRE_MINUTES: Count
    REFRESH_TOKEN_REPLAY_SECONDS: CountOrZero
    SESSION_EXPIRE_DAYS: int = Field(ge=1, le=36500)
    PASSWORD_MIN_LENGTH: int = Field(ge=1, le=128)
    PASSWORD_REFUSE_WEAK: bool
    SIGN_IN_FAILURE_MILLISECONDS: Count
    ARGON2_PARALLELISM: Count
    ARGON2_MEMORY_COST: Count
    ARGON2_TIME_COST: Count
    COOKIE_SECURE: bool

    @field_validator("SECRET_KEY")
    @classmethod
    def _check_secret_key(cls, secret: str, info: ValidationInfo) -> str:
        if not secret:
            raise ValueError("is missing")
        shortest = KEY_BYTES[info.data.get("ALGORITHM", "HS256")]
        is_weak = secret.startswith(PUBLIC_SECRETS) or len(secret.encode()) < shortest
        if is_weak and _in_production(info):
            raise ValueError(f"must be a secret of your own, of {shortest} bytes or more")
        return secret

    @field_validator("ARGON2_MEMORY_COST")
    @classmethod
    def _check_memory(cls, memory: int, info: ValidationInfo) -> int:
        if memory < 8 * info.data.get("ARGON2_PARALLELISM", 1):
            raise ValueError("must be 8 times ARGON2_PARALLELISM or more")
        return memory

    @field_validator("COOKIE_SECURE")
    @classmethod
    def _check_cookie(cls, secure: bool, info: ValidationInfo) -> bool:
        if not secure and _in_production(info):
            raise ValueError("must be true in production: the cookie signs a user in")
        return secure


class RateLimitSettings(SettingsTable):
    enabled: bool
    requests: RateLimit
    sign_ins: RateLimit
    sign_ins_per_account: RateLimit
    sign_ins_per_address: RateLimit
    sign_ups: RateLimit
    exports: RateLimit
    mails: RateLimit
    mails_per_address: RateLimit
    storage_uri: RedisURI


class CORSSettings(SettingsTable):
    allow_credentials: bool
    allow_origins: list[Origin]

    @field_validator("allow_origins")
    @classmethod
    def _check_all_origins(cls, origins: list[str], info: ValidationInfo) -> list[str]:
        if "*" in origins and info.data.get("allow_credentials") and _in_production(info):
            raise ValueError("must name the origins where allow_credentials is true")
        return origins


class LogSettings(SettingsTable):
    # BaseModel has a method `json`.
    json_lines: bool = Field(alias="json")


class MetricsSettings(SettingsTable):
    host: str
    port: int = Field(ge=0, le=65535)


class TelemetrySettings(SettingsTable):
    endpoint: Endpoint


class PostSettings(SettingsTable):
    max_length: Count


class SocialSettings(SettingsTable):
    max_following: Count
    notifications_days: int = Field(ge=1, le=36_500)


class LiveSettings(SettingsTable):
    max_streams: Count
    max_streams_per_caller: Count


class ServerSettings(SettingsTable):
    host: str
    port: int = Field(ge=1, le=65535)
    workers: CountOrZero
    root_path: RootPath
    public_url: PublicURL
    trusted_proxies: list[Network]
    receive_timeout: Timeout
    keep_alive: Timeout
    request_timeout: Timeout
    max_requests: Count
    docs: bool
    web: bool


class MailSettings(SettingsTable):
    host: HostName
    port: int = Field(ge=1, le=65535)
    username: str
    password: str = Field(repr=False)
    tls: TLS
    # A keyword of Python.
    sender: MailSender = Field(alias="from")

    @field_validator("password")
    @classmethod
    def _check_password(cls, password: str, info: ValidationInfo) -> str:
        if bool(password) != bool(info.data.get("username")):
            raise ValueError("must be set if mail.username is, and only then")
        return password

    @field_validator("sender")
    @classmethod
    def _check_sender(cls, sender: str, info: ValidationInfo) -> str:
        if info.data.get("host") and not sender:
            raise ValueError("is missing")
        return sender


class Settings(SettingsTable):
    db: DatabaseSettings
    security: SecuritySettings
    rate_limit: RateLimitSettings
    cors: CORSSettings
    log: LogSettings
    metrics: MetricsSettings
    telemetry: TelemetrySettings
    post: PostSettings
    social: SocialSettings
    live: LiveSettings
    server: ServerSettings
    mail: MailSettings

    @field_validator("mail")
    @classmethod
    def _check_links(cls, mail: MailSettings, info: ValidationInfo) -> MailSettings:
        server = info.data.get("server")
        if mail.host and _in_production(info) and server and not server.public_url:
            raise ValueError("needs server.public_url, with which the links in mails begin")
        return mail

    def __repr_args__(self) -> list[tuple[str | None, str]]:
        """Show only the names of the tables, as their values contain passwords."""
        return [(None, name) for name in type(self).model_fields]
