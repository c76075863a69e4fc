"""Every environment variable Carewright reads, with its type and its default.

A missing or bad value stops the start with one sentence that names the
variable. `.env.example` explains each in a line; a test holds the two equal.
"""

import os
import sys
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AliasChoices, Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

CommaList = Annotated[list[str], NoDecode]


class Environment(BaseSettings):
    """The process environment, checked. Names as the specifications give them (decision X26)."""

    model_config = SettingsConfigDict(case_sensitive=True, extra="ignore", env_file=None)

    SECRET_KEY: SecretStr
    SECRET_KEY_FALLBACKS: Annotated[list[SecretStr], NoDecode] = []
    DEBUG: bool = False
    ALLOWED_HOSTS: CommaList = ["localhost", "127.0.0.1", "[::1]"]
    PUBLIC_URL: str = "http://localhost:8000"
    BASE_DOMAIN: str = ""
    TRUSTED_PROXY_COUNT: int = Field(default=0, ge=0, le=10)

    DATABASE_URL: SecretStr
    DATABASE_OWNER_URL: SecretStr | None = None
    DATABASE_BACKUP_URL: SecretStr | None = None
    DATABASE_ADMIN_URL: SecretStr | None = None
    REDIS_URL: SecretStr

    ALGORITHM: Literal["HS256", "HS384", "HS512"] = "HS256"
    ACCESS_TOKEN_EXPIRE_MINUTES: int = Field(default=15, ge=1, le=1440)
    REFRESH_TOKEN_EXPIRE_DAYS: int = Field(default=7, ge=1, le=90)
    PASSWORD_MIN_LENGTH: int = Field(default=8, ge=6, le=128)
    COOKIE_SECURE: bool = True
    CORS_ALLOWED_ORIGINS: CommaList = Field(
        default=["http://localhost:3000", "http://localhost:5173"],
        validation_alias=AliasChoices("CORS_ALLOWED_ORIGINS", "BACKEND_CORS_ORIGINS"),
    )
    RATE_LIMIT_SCALE: float = Field(default=1, gt=0, le=1_000_000)
    API_KEY_RATE_LIMIT: bool = True
    API_DOCS: Literal["public", "staff", "off"] | None = None

    STATE_DIR: str = ".local"
    STORAGE_TYPE: Literal["local", "s3", "gcs"] = "local"
    STORAGE_ROOT: str = ""
    STORAGE_BUCKET: str = ""
    BACKUP_PUBLIC_KEYS: CommaList = []
    POSTGRES_PROGRAMS: str = ""
    AUDIT_ANCHOR_KEY: SecretStr | None = None
    AUDIT_ANCHOR_FILE: str = ""

    EMAIL_URL: str = "console://"
    EMAIL_FROM: str = "Carewright <no-reply@localhost>"

    WEBHOOK_LOOPBACK: bool = False
    EVENT_QUEUE_URL: str = ""

    LANGUAGE: Literal["en", "es"] = Field(default="en", validation_alias="DEFAULT_LANGUAGE")
    LOG_LEVEL: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    METRICS_TOKEN: SecretStr | None = None
    METRICS_DIR: str = ""
    DEMO: bool = False

    @field_validator(
        "ALLOWED_HOSTS", "CORS_ALLOWED_ORIGINS", "SECRET_KEY_FALLBACKS", "BACKUP_PUBLIC_KEYS", mode="before"
    )
    @classmethod
    def _split_commas(cls, value):
        return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value

    @field_validator("SECRET_KEY")
    @classmethod
    def _long_secret(cls, value):
        if len(value.get_secret_value()) < 32:
            raise ValueError("needs at least 32 characters")
        return value

    @field_validator("DATABASE_URL", "DATABASE_OWNER_URL", "DATABASE_BACKUP_URL", "DATABASE_ADMIN_URL")
    @classmethod
    def _postgres_url(cls, value):
        if value is not None and urlsplit(value.get_secret_value()).scheme not in {"postgresql", "postgres"}:
            raise ValueError("has to be a postgresql:// address")
        return value

    @field_validator("REDIS_URL")
    @classmethod
    def _redis_url(cls, value):
        if urlsplit(value.get_secret_value()).scheme not in {"redis", "rediss", "unix"}:
            raise ValueError("has to be a redis://, rediss:// or unix:// address")
        return value

    @field_validator("PUBLIC_URL")
    @classmethod
    def _web_url(cls, value):
        parts = urlsplit(value)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ValueError("has to be an http:// or https:// address")
        return value.rstrip("/")

    @field_validator("CORS_ALLOWED_ORIGINS")
    @classmethod
    def _origins(cls, value):
        for origin in value:
            parts = urlsplit(origin)
            if parts.scheme not in {"http", "https"} or not parts.netloc or parts.path:
                raise ValueError(f"{origin!r} is not an origin such as https://app.example.org")
        return value

    @field_validator("EMAIL_URL")
    @classmethod
    def _mail_url(cls, value):
        if urlsplit(value).scheme not in {"console", "file", "smtp", "smtps", "smtp+tls", "memory"}:
            raise ValueError("has to begin with console://, file://, smtp://, smtps:// or smtp+tls://")
        return value


def read_environment() -> Environment:
    """The checked environment. A bad value ends the process: exit code 2, one sentence a variable on stderr."""
    try:
        environment = Environment()
        _refuse_unsafe(environment)
    except (ValidationError, ValueError) as error:
        for sentence in _sentences(error):
            print(f"carewright: {sentence}", file=sys.stderr)
        raise SystemExit(2) from None
    return environment


def _refuse_unsafe(environment: Environment) -> None:
    if environment.PUBLIC_URL.startswith("https://") and not environment.COOKIE_SECURE:
        raise ValueError("COOKIE_SECURE=false goes only with an http:// PUBLIC_URL.")
    if environment.PUBLIC_URL.startswith("https://") and environment.DEBUG:
        raise ValueError("DEBUG=true goes only with an http:// PUBLIC_URL.")
    if environment.PUBLIC_URL.startswith("https://") and environment.WEBHOOK_LOOPBACK:
        raise ValueError("WEBHOOK_LOOPBACK=true goes only with an http:// PUBLIC_URL.")
    if environment.STORAGE_TYPE != "local" and not environment.STORAGE_BUCKET:
        raise ValueError(f"STORAGE_TYPE={environment.STORAGE_TYPE} needs STORAGE_BUCKET.")
    if "*" in environment.ALLOWED_HOSTS and not environment.DEBUG:
        raise ValueError("ALLOWED_HOSTS=* goes only with DEBUG=true.")


def _sentences(error: ValueError) -> list[str]:
    if not isinstance(error, ValidationError):
        return [str(error)]
    sentences = []
    for problem in error.errors(include_url=False, include_input=False):
        name = str(problem["loc"][0]) if problem["loc"] else "environment"
        if problem["type"] == "missing":
            sentences.append(f"{name} is not set. See .env.example, or use `make run`, which sets it.")
        else:
            reason = problem["msg"].removeprefix("Value error, ")
            sentences.append(f"{name} is not usable: {reason[0].lower()}{reason[1:]}.")
    return sentences


def load_env_file(path: str) -> None:
    """Put the lines of an env file into the environment; what is set already wins."""
    try:
        with open(path, encoding="utf-8") as lines:
            for line in lines:
                name, equals, value = line.strip().partition("=")
                if equals and not name.startswith("#"):
                    os.environ.setdefault(name.strip(), value.strip().strip("\"'"))
    except FileNotFoundError:
        return
