# One image for web, worker, beat and migrate; docker-compose.yml says which is which.

FROM python:3.11-slim AS packages
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
RUN python -m venv /opt/venv
# requirements-aws.lock for AWS: docker build --build-arg LOCK=requirements-aws.lock
ARG LOCK=requirements.lock
COPY requirements*.lock ./
RUN /opt/venv/bin/pip install --require-hashes --no-deps -r "$LOCK"

FROM python:3.11-slim
# pg_dump and pg_restore for backups; they may not be older than the server.
RUN apt-get update \
 && apt-get install -y --no-install-recommends ca-certificates postgresql-common \
 && /usr/share/postgresql-common/pgdg/apt.postgresql.org.sh -y \
 && apt-get install -y --no-install-recommends postgresql-client-18 \
 && rm -rf /var/lib/apt/lists/*
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    MALLOC_ARENA_MAX=2 \
    HOME=/tmp \
    DJANGO_SETTINGS_MODULE=config.settings \
    STATE_DIR=/srv/carewright/state \
    STORAGE_ROOT=/var/lib/carewright/files \
    AUDIT_ANCHOR_FILE=/var/lib/carewright/audit-anchors.jsonl
RUN groupadd --gid 10001 carewright \
 && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /tmp --shell /usr/sbin/nologin carewright \
 && install -d -o 10001 -g 10001 -m 0750 /var/lib/carewright /var/lib/carewright/files
COPY --from=packages /opt/venv /opt/venv
WORKDIR /srv/carewright
COPY . .
# The static files are part of the image. The settings want an environment to start; none of this stays.
RUN SECRET_KEY=only-for-collecting-static-files-while-building \
    DATABASE_URL=postgresql://build@localhost/build \
    REDIS_URL=redis://localhost:6379/0 \
    python manage.py collectstatic --noinput --verbosity 0 \
 && python -m compileall -q . \
 && chmod -R a+rX,go-w .
# Everything above belongs to root: the program can write to its volume and to /tmp, and nowhere else.
USER 10001:10001
VOLUME /var/lib/carewright
EXPOSE 8000
HEALTHCHECK --interval=15s --timeout=5s --start-period=30s --retries=4 \
  CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/livez', timeout=4)"]
CMD ["python", "-m", "granian", "config.wsgi:application", "--interface", "wsgi", "--host", "0.0.0.0", "--port", "8000", "--workers", "2", "--blocking-threads", "2", "--http", "1", "--no-ws"]
