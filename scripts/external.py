"""What the servers of DATABASE_URL and REDIS_URL say for themselves. Prints one JSON object for the launcher.

Runs in `.venv`, because it needs the drivers. Of the database: `user`,
`superuser`, `database`, `server` (host, port and options) and `admin_url`.
Where one of the two cannot be used: `problem`, a sentence without passwords.
"""

import json
import os
import sys
from urllib.parse import quote, urlencode

import psycopg
import redis
from psycopg.conninfo import conninfo_to_dict

DATABASE = "carewright"  # where a superuser's address names none, or the server's own
SERVERS_OWN = {"postgres", "template1"}
PATIENCE_SECONDS = 10


def main() -> int:
    found = {}
    try:
        if os.environ.get("DATABASE_URL"):
            found = examine_database(os.environ["DATABASE_URL"])
        if os.environ.get("REDIS_URL"):
            examine_redis(os.environ["REDIS_URL"])
    except psycopg.Error as error:
        found = {"problem": f"DATABASE_URL cannot be used: {one_line(error)}."}
    except (redis.RedisError, ValueError) as error:
        found = {"problem": f"REDIS_URL cannot be used: {one_line(error)}."}
    print(json.dumps(found))
    return 0


def examine_database(url: str) -> dict:
    """Raises psycopg.Error when it does not answer or lets nobody in."""
    parts = conninfo_to_dict(url)
    database = parts.get("dbname") or DATABASE
    with connect(parts, database) as connection:
        user, is_superuser = connection.execute(
            "SELECT rolname::text, rolsuper FROM pg_roles WHERE rolname = current_user"
        ).fetchone()
    return {
        "user": user,
        "superuser": is_superuser,
        "database": DATABASE if database in SERVERS_OWN else database,
        "server": {name: value for name, value in parts.items() if name not in {"user", "password", "dbname"}},
        "admin_url": f"postgresql:///?{urlencode({**parts, 'dbname': 'postgres'}, quote_via=quote)}",
    }


def connect(parts: dict, database: str) -> psycopg.Connection:
    """A superuser may name a database that is still to be made: then the server's own has to do."""
    try:
        return psycopg.connect(**{**parts, "dbname": database}, connect_timeout=PATIENCE_SECONDS)
    except psycopg.OperationalError as error:
        if f'database "{database}" does not exist' not in str(error):
            raise
        return psycopg.connect(**{**parts, "dbname": "postgres"}, connect_timeout=PATIENCE_SECONDS)


def examine_redis(url: str) -> None:
    """Raises RedisError when it does not answer or wants another password, ValueError when it is no address."""
    options = {} if url.startswith("unix:") else {"socket_connect_timeout": PATIENCE_SECONDS}
    with redis.Redis.from_url(url, socket_timeout=PATIENCE_SECONDS, **options) as client:
        client.ping()


def one_line(error: Exception) -> str:
    return " ".join(str(error).split()).rstrip(".")


if __name__ == "__main__":
    sys.exit(main())
