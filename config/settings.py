"""Settings, read from top to bottom. Differences between installations come from `config.environment` only."""

import os
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

import structlog
from celery.schedules import crontab
from csp.constants import NONE, SELF
from django.utils.translation import gettext_lazy as _
from psycopg.conninfo import conninfo_to_dict
from redis.backoff import NoBackoff
from redis.retry import Retry

from .environment import load_env_file, read_environment

BASE_DIR = Path(__file__).resolve().parent.parent
load_env_file(os.environ.get("ENV_FILE", BASE_DIR / ".env"))
ENV = read_environment()

SECRET_KEY = ENV.SECRET_KEY.get_secret_value()
SECRET_KEY_FALLBACKS = [key.get_secret_value() for key in ENV.SECRET_KEY_FALLBACKS]
DEBUG = ENV.DEBUG
DEMO = ENV.DEMO
ALLOWED_HOSTS = ENV.ALLOWED_HOSTS
PUBLIC_URL = ENV.PUBLIC_URL
BASE_DOMAIN = ENV.BASE_DOMAIN
STATE_DIR = Path(ENV.STATE_DIR)
SERVED_OVER_HTTPS = PUBLIC_URL.startswith("https://")

# --- The house -------------------------------------------------------------------------------------------------------
# Floors from the ground up; a floor imports only those above it in this list.

ROOMS = [
    "tenancy.tenants",
    "tenancy.audit",
    "tenancy.doors",
    "tenancy.events",
    "tenancy.retries",
    "tenancy.backups",
    "accounts.notifications",
    "accounts.drafts",
    "accounts.api_keys",
    "accounts.users",
    "accounts.qualifications",
    "accounts.second_factor",
    "accounts.joining",
    "accounts.team",
    "accounts.integrations",
    "clinic.patients",
    "clinic.practitioners",
    "clinic.places",
    "clinic.scheduling",
    "clinic.fhir",
    "config.home",
    "config.look",
]

INSTALLED_APPS = [
    *ROOMS,
    "accounts.users.apps.CarewrightAdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "django_otp",
    "django_otp_webauthn",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "django_htmx",
    "corsheaders",
    "csp",
    "lucide",
    "pgtrigger",
    "pghistory",
    "django_structlog",
]

MIDDLEWARE = [
    # Names and logs the request, then puts headers on whatever comes back, probes and static files included.
    "config.middleware.RequestLogMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "config.middleware.ContentPolicyMiddleware",
    "config.middleware.SecurityHeadersMiddleware",
    "corsheaders.middleware.CorsMiddleware",
    "config.middleware.HealthMiddleware",
    "config.middleware.BodyLengthMiddleware",
    # Plain reads of /v1 end here; whatever the lane does not understand goes on.
    "accounts.api_keys.fast_lane.FastLane",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "accounts.users.shedding.ShedSignIns",
    "accounts.api_keys.shedding.ShedKeys",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django_otp.middleware.OTPMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "accounts.users.middleware.MemberMiddleware",
    "tenancy.retries.middleware.RetryMiddleware",
    "accounts.drafts.middleware.DraftMiddleware",
    "clinic.patients.middleware.RestrictedChartMiddleware",
    "config.middleware.MethodPageMiddleware",
]

ROOT_URLCONF = "config.urls"
WSGI_APPLICATION = "config.wsgi.application"
APPEND_SLASH = False  # both slash forms are routed; a redirect would drop the body of a POST

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "config.look.context.frame",
            ],
            "builtins": [
                "django.templatetags.i18n",
                "django.templatetags.static",
                "django_htmx.templatetags.django_htmx",
                "config.look.templatetags.look",
            ],
        },
    }
]
FORM_RENDERER = "config.look.forms.FieldRenderer"

# --- The database: one cluster, many clinics -------------------------------------------------------------------------


def _database(url: str) -> dict:
    parts = conninfo_to_dict(url)
    return {
        "ENGINE": "tenancy.postgres",
        "NAME": parts.pop("dbname", ""),
        "USER": parts.pop("user", ""),
        "PASSWORD": parts.pop("password", ""),
        "HOST": parts.pop("host", ""),
        "PORT": str(parts.pop("port", "")),
        "CONN_MAX_AGE": None,
        "CONN_HEALTH_CHECKS": True,
        "OPTIONS": {**parts, "server_side_binding": True},
        # A `WITH HOLD` cursor outlives its transaction, and with it its tenant (security.md F6).
        "DISABLE_SERVER_SIDE_CURSORS": True,
    }


def _role(secret) -> tuple[str, str] | None:
    """User name and password of another role on the same database."""
    parts = conninfo_to_dict(secret.get_secret_value()) if secret else None
    return (parts.get("user", ""), parts.get("password", "")) if parts else None


DATABASES = {"default": _database(ENV.DATABASE_URL.get_secret_value())}
DATABASE_APP = _role(ENV.DATABASE_URL)
# Web, worker, beat and tests connect as the app role; only `migrate` and `backup` become somebody else.
DATABASE_OWNER = _role(ENV.DATABASE_OWNER_URL)
DATABASE_BACKUP = _role(ENV.DATABASE_BACKUP_URL)
DATABASE_ADMIN_URL = ENV.DATABASE_ADMIN_URL.get_secret_value() if ENV.DATABASE_ADMIN_URL else None
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

PGHISTORY_CREATED_AT_FUNCTION = "clock_timestamp()"

# --- People ----------------------------------------------------------------------------------------------------------

AUTH_USER_MODEL = "users.User"
AUTHENTICATION_BACKENDS = ["django.contrib.auth.backends.ModelBackend"]
PASSWORD_HASHERS = [
    "accounts.users.hashers.BCryptSHA256",
    "django.contrib.auth.hashers.Argon2PasswordHasher",
    "accounts.users.hashers.PlainBCrypt",
]
PASSWORD_MIN_LENGTH = ENV.PASSWORD_MIN_LENGTH
AUTH_PASSWORD_VALIDATORS = [  # asked through accounts.users.passwords
    {
        "NAME": "django.contrib.auth.password_validation.MinimumLengthValidator",
        "OPTIONS": {"min_length": PASSWORD_MIN_LENGTH},
    },
    {"NAME": "accounts.users.passwords.NotPersonal", "OPTIONS": {"user_attributes": ("username", "email", "name")}},
    {"NAME": "accounts.users.passwords.NotOurNames"},
    {"NAME": "accounts.users.passwords.NotBreached"},
]
PASSWORD_RESET_TIMEOUT = 60 * 60  # seconds a link to set a password works (security.md AU-31)
# Pages that must not tell who is known answer after this long, more than their slowest way through takes (AU-02).
EVEN_ANSWER_SECONDS = 0.6
LOGIN_URL = "users:sign_in"
LOGIN_REDIRECT_URL = "home:today"
LOGIN_REDIRECT_PATH = "/"
ENROLMENT_URL = "second_factor:enrol"  # where a member is led who is late with a second factor
SESSION_ENGINE = "accounts.users.session_store"  # keys are hashed at rest
SESSION_COOKIE_SECURE = SERVED_OVER_HTTPS
SESSION_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_AGE = 24 * 60 * 60  # the most a clinic may allow; the Session row ends earlier by its own settings
# Django's default puts messages into a cookie, and some of ours name a patient.
MESSAGE_STORAGE = "django.contrib.messages.storage.session.SessionStorage"
CSRF_COOKIE_SECURE = SERVED_OVER_HTTPS
CSRF_COOKIE_HTTPONLY = True
CSRF_FAILURE_VIEW = "config.errors.csrf_failure"

ACCESS_TOKEN_LIFETIME = timedelta(minutes=ENV.ACCESS_TOKEN_EXPIRE_MINUTES)
REFRESH_TOKEN_LIFETIME = timedelta(days=ENV.REFRESH_TOKEN_EXPIRE_DAYS)
TOKEN_COOKIES_SECURE = ENV.COOKIE_SECURE
SIMPLE_JWT = {
    "ALGORITHM": ENV.ALGORITHM,
    "SIGNING_KEY": SECRET_KEY,
    "ISSUER": "carewright",
    "AUDIENCE": "carewright-api",
    "ACCESS_TOKEN_LIFETIME": ACCESS_TOKEN_LIFETIME,
    "REFRESH_TOKEN_LIFETIME": REFRESH_TOKEN_LIFETIME,
    "TOKEN_TYPE_CLAIM": "type",
    "USER_ID_CLAIM": "sub",
    "UPDATE_LAST_LOGIN": False,
}
OTP_TOTP_ISSUER = "Carewright"
# Passkeys belong to this domain. Browsers refuse them elsewhere, and so does accounts.second_factor.passkeys, which
# takes the origins from the request. Only as a second factor: the library's own pages are not routed.
OTP_WEBAUTHN_RP_NAME = "Carewright"
OTP_WEBAUTHN_RP_ID = BASE_DOMAIN or urlsplit(PUBLIC_URL).hostname
OTP_WEBAUTHN_ALLOW_PASSWORDLESS_LOGIN = False

# --- The API ---------------------------------------------------------------------------------------------------------

API_DOCS = ENV.API_DOCS or ("public" if DEBUG or DEMO else "off")
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["accounts.users.authentication.OneCredential"],
    "DEFAULT_PERMISSION_CLASSES": ["accounts.guards.HasNamedPermission"],
    "DEFAULT_PARSER_CLASSES": ["tenancy.doors.parsers.StrictJSONParser"],
    "DEFAULT_RENDERER_CLASSES": ["tenancy.doors.renderers.ORJSONRenderer"],
    "DEFAULT_THROTTLE_CLASSES": ["accounts.users.limits.MemberThrottle"],
    "DEFAULT_CONTENT_NEGOTIATION_CLASS": "tenancy.doors.renderers.FixedNegotiation",
    "DEFAULT_METADATA_CLASS": None,  # OPTIONS answers 405; CORS preflight is answered before
    "DEFAULT_SCHEMA_CLASS": "tenancy.doors.schema.HouseAutoSchema",
    "EXCEPTION_HANDLER": "config.errors.api_error",
    "UNAUTHENTICATED_USER": None,
    "UNAUTHENTICATED_TOKEN": None,
    "URL_FORMAT_OVERRIDE": None,
    "TEST_REQUEST_DEFAULT_FORMAT": "json",
    "DATETIME_FORMAT": None,  # the renderer writes UTC with Z; a format here would write the clinic's time with a Z
}
MAX_JSON_BYTES = 1_000_000
MAX_JSON_DEPTH = 32
DATA_UPLOAD_MAX_MEMORY_SIZE = 2_500_000
DATA_UPLOAD_MAX_NUMBER_FIELDS = 1_000
RATE_LIMIT_SCALE = ENV.RATE_LIMIT_SCALE
API_KEY_RATE_LIMIT = ENV.API_KEY_RATE_LIMIT
TRUSTED_PROXY_COUNT = ENV.TRUSTED_PROXY_COUNT
if ENV.METRICS_DIR:  # prometheus-client reads its own variable, when it is first imported
    os.makedirs(ENV.METRICS_DIR, exist_ok=True)
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = ENV.METRICS_DIR
METRICS_TOKEN = ENV.METRICS_TOKEN.get_secret_value() if ENV.METRICS_TOKEN else None

SPECTACULAR_SETTINGS = {
    "TITLE": "Carewright",
    "VERSION": "1.0.0",
    "DESCRIPTION": "Clinic and quality system. Errors are JSON with `detail`, `code` and `trace_id`.",
    "OAS_VERSION": "3.1.0",
    "SCHEMA_PATH_PREFIX": r"/(api/v1|api|v1|fhir/R4)",
    "COMPONENT_SPLIT_REQUEST": True,
    "ENUM_NAME_OVERRIDES": {
        "AppointmentStateEnum": "clinic.scheduling.serializers.STATE_WORDS",
        "ModalityEnum": "clinic.scheduling.models.Modality",
        "V1AppointmentStateEnum": "clinic.scheduling.secre.STATE_CHOICES",
        "V1ModalityEnum": "clinic.scheduling.secre.MODALITY_CHOICES",
        "ResourceKindEnum": "clinic.places.models.Resource.Kind",
        "WebhookStateEnum": "tenancy.events.models.Endpoint.State",
        "WebhookKindEnum": "tenancy.events.models.Endpoint.Kind",
        "DeliveryStateEnum": "tenancy.events.models.Delivery.State",
    },
    "PREPROCESSING_HOOKS": ["config.openapi.document_each_route_once"],
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "tenancy.doors.schema.add_house_components",
        "config.openapi.document_probes",
    ],
}

CORS_ALLOWED_ORIGINS = ENV.CORS_ALLOWED_ORIGINS
CORS_ALLOW_CREDENTIALS = True
CORS_URLS_REGEX = r"^/(api|v1|fhir)/"
CORS_ALLOW_HEADERS = [
    "accept",
    "authorization",
    "content-type",
    "if-match",
    "if-none-match",
    "idempotency-key",
    "x-api-key",
    "x-csrf-token",
    "x-request-id",
    "x-tenant",
]
CORS_EXPOSE_HEADERS = [
    "etag",
    "retry-after",
    "ratelimit",
    "ratelimit-policy",
    "x-request-id",
    "content-disposition",
    "idempotent-replayed",
]

# --- Headers ---------------------------------------------------------------------------------------------------------

CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [NONE],
        "script-src": [SELF],
        "style-src": [SELF],
        "img-src": [SELF, "data:"],
        "font-src": [SELF],
        "connect-src": [SELF],
        "manifest-src": [SELF],
        "form-action": [SELF],
        "base-uri": [NONE],
        "frame-ancestors": [NONE],
        "object-src": [NONE],
    }
}
X_FRAME_OPTIONS = "DENY"
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
SECURE_CROSS_ORIGIN_OPENER_POLICY = "same-origin"
SECURE_SSL_REDIRECT = False  # the proxy in front does this
SECURE_HSTS_SECONDS = 31_536_000 if SERVED_OVER_HTTPS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = SERVED_OVER_HTTPS
SECURE_HSTS_PRELOAD = SERVED_OVER_HTTPS
if ENV.TRUSTED_PROXY_COUNT:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
CSRF_TRUSTED_ORIGINS = [PUBLIC_URL]

# --- Redis, Celery, mail, files --------------------------------------------------------------------------------------

REDIS_URL = ENV.REDIS_URL.get_secret_value()
CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.redis.RedisCache",
        "LOCATION": REDIS_URL,
        "KEY_PREFIX": "cw",
        # Without these a Redis that hangs would hold every request for ever, and one that is away for seconds.
        "OPTIONS": {"socket_timeout": 1, "socket_connect_timeout": 1, "retry": Retry(NoBackoff(), 1)},
    }
}
CELERY_BROKER_URL = REDIS_URL.replace("unix://", "redis+socket://", 1)
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_TRANSPORT_OPTIONS = {"visibility_timeout": 3600, "socket_timeout": 5, "socket_connect_timeout": 1}
CELERY_TASK_TIME_LIMIT = 300
CELERY_TIMEZONE = "UTC"
CELERY_BEAT_SCHEDULE = {
    "remove kept answers": {"task": "tenancy.retries.tasks.purge_answers", "schedule": 900.0},
    "remove old drafts": {"task": "accounts.drafts.tasks.purge_drafts", "schedule": 86_400.0},
    "seal the log of reads": {"task": "tenancy.audit.tasks.seal_reads", "schedule": 60.0},
    "anchor the audit trail": {"task": "tenancy.audit.tasks.write_anchors", "schedule": 3600.0},
    "clear expired sessions": {"task": "accounts.users.tasks.clear_expired_sessions", "schedule": crontab("17", "3")},
    "let go of held times": {"task": "clinic.scheduling.tasks.let_go", "schedule": 60.0},
    "announce lapses": {"task": "clinic.scheduling.tasks.announce_lapses", "schedule": crontab("7", "5")},
    "remind of appointments": {"task": "clinic.scheduling.tasks.remind", "schedule": 300.0},
    # A round that nobody took before the next is due would only be one more.
    # Often: what a dead worker had in its hands is sent again within 30 seconds.
    "send events": {
        "task": "tenancy.events.tasks.deliver_everywhere",
        "schedule": 5.0,
        "options": {"expires": 5},
    },
    "remove old events": {"task": "tenancy.events.tasks.purge", "schedule": crontab("37", "3")},
    "send mail": {
        "task": "accounts.notifications.tasks.deliver_everywhere",
        "schedule": 15.0,
        "options": {"expires": 15},
    },
}
RATELIMIT_USE_CACHE = "default"
RATELIMIT_FAIL_OPEN = False
SILENCED_SYSTEM_CHECKS = [
    "otp_webauthn.E030",  # OTP_WEBAUTHN_ALLOWED_ORIGINS is not asked, see OTP_WEBAUTHN_RP_ID
    "django_ratelimit.W001",  # its list of known caches predates Django's own Redis cache
    "security.W008",  # the proxy in front redirects to https
]

_mail = urlsplit(ENV.EMAIL_URL)
EMAIL_BACKEND = {
    "console": "django.core.mail.backends.console.EmailBackend",
    "file": "accounts.notifications.mailbox.MailboxBackend",
    "memory": "django.core.mail.backends.locmem.EmailBackend",
}.get(_mail.scheme, "django.core.mail.backends.smtp.EmailBackend")
EMAIL_HOST, EMAIL_PORT = _mail.hostname or "localhost", _mail.port or 25
EMAIL_HOST_USER, EMAIL_HOST_PASSWORD = _mail.username or "", _mail.password or ""
EMAIL_USE_TLS, EMAIL_USE_SSL = _mail.scheme == "smtp+tls", _mail.scheme == "smtps"
EMAIL_FILE_PATH = _mail.path or None
EMAIL_TIMEOUT = 10
DEFAULT_FROM_EMAIL = ENV.EMAIL_FROM

STORAGE_ROOT = Path(ENV.STORAGE_ROOT or STATE_DIR / "files")
MEDIA_ROOT = STORAGE_ROOT
_FILE_STORES = {
    "local": {"BACKEND": "django.core.files.storage.FileSystemStorage", "OPTIONS": {"location": STORAGE_ROOT}},
    "s3": {"BACKEND": "storages.backends.s3.S3Storage", "OPTIONS": {"bucket_name": ENV.STORAGE_BUCKET}},
    "gcs": {"BACKEND": "storages.backends.gcloud.GoogleCloudStorage", "OPTIONS": {"bucket_name": ENV.STORAGE_BUCKET}},
}
STORAGES = {
    "default": _FILE_STORES[ENV.STORAGE_TYPE],
    "staticfiles": {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"},
}
STATIC_URL = "/static/"
STATICFILES_DIRS = [BASE_DIR / "static"]
STATIC_ROOT = STATE_DIR / "static"

# Receivers of tests stand on this very machine; anywhere else that would be a way into the house (tenancy.events).
WEBHOOK_LOOPBACK = ENV.WEBHOOK_LOOPBACK
EVENT_QUEUE_URL = ENV.EVENT_QUEUE_URL

AUDIT_ANCHOR_KEY = ENV.AUDIT_ANCHOR_KEY.get_secret_value() if ENV.AUDIT_ANCHOR_KEY else None
BACKUP_PUBLIC_KEYS = ENV.BACKUP_PUBLIC_KEYS
POSTGRES_PROGRAMS = ENV.POSTGRES_PROGRAMS
AUDIT_ANCHOR_FILE = Path(ENV.AUDIT_ANCHOR_FILE or STATE_DIR / "audit-anchors.jsonl")

# --- Words and times -------------------------------------------------------------------------------------------------

LANGUAGE_CODE = ENV.LANGUAGE
LANGUAGES = [("en", _("English")), ("es", _("Spanish"))]
LOCALE_PATHS = [BASE_DIR / "config" / "locale"]
FORMAT_MODULE_PATH = "config.locale"
USE_I18N = True
USE_TZ = True
TIME_ZONE = "UTC"  # the zone of a clinic belongs to the clinic

# --- Logs ------------------------------------------------------------------------------------------------------------

DJANGO_STRUCTLOG_CELERY_ENABLED = True  # the id of a request goes along with the tasks it starts
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"json": {"()": "config.logs.json_formatter"}},
    "handlers": {"stdout": {"class": "logging.StreamHandler", "stream": "ext://sys.stdout", "formatter": "json"}},
    "root": {"handlers": ["stdout"], "level": ENV.LOG_LEVEL},
    "loggers": {
        "django.server": {"handlers": [], "propagate": False},
        # The access line says it already; only failures are worth a second one.
        "django.request": {"level": "ERROR"},
        # It logs the query with its values, that is, with people's names.
        "django.db.backends": {"level": "ERROR"},
        "django_structlog": {"level": "ERROR"},
        "drf_spectacular": {"level": "WARNING"},
    },
}
structlog.configure(
    processors=[
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
    ],
    logger_factory=structlog.stdlib.LoggerFactory(),
    cache_logger_on_first_use=True,
)
