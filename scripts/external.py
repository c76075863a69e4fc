"""What kind of role DATABASE_URL names, asked of the server. Prints one JSON object for the launcher.

Runs in `.venv`, because it needs the PostgreSQL driver. Keys: `user`,
`superuser`, `database`, `server` (host, port and options), `admin_url`; or
`problem`, a sentence.
"""

import json
import os
import sys
from urllib.parse import quote, urlencode

import psycopg
from psycopg.conninfo import conninfo_to_dict

DATABASE = "carewright"  # where a superuser's address names none, or the server's own


def main() -> int:
    print(json.dumps(examine(os.environ["DATABASE_URL"])))
    return 0


def examine(url: str) -> dict:
    try:
        parts = conninfo_to_dict(url)
        database = parts.get("dbname") or DATABASE
        with connect(parts, database) as connection:
            user, is_superuser = connection.execute(
                "SELECT current_user::text, rolsuper FROM pg_roles WHERE rolname = current_user"
            ).fetchone()
    except psycopg.Error as error:
        reason = " ".join(str(error).split()).rstrip(".")
        return {"problem": f"DATABASE_URL cannot be used: {reason}."}
    if database in {"postgres", "template1"}:
        database = DATABASE
    server = {name: value for name, value in parts.items() if name not in {"user", "password", "dbname"}}
    return {
        "user": user,
        "superuser": is_superuser,
        "database": database,
        "server": server,
        "admin_url": f"postgresql:///?{urlencode({**parts, 'dbname': 'postgres'}, quote_via=quote)}",
    }


def connect(parts: dict, database: str) -> psycopg.Connection:
    """A superuser may name a database that is still to be made: then the server's own has to do."""
    try:
        return psycopg.connect(**{**parts, "dbname": database}, connect_timeout=10)
    except psycopg.OperationalError as error:
        if "does not exist" not in str(error) or "database" not in str(error):
            raise
        return psycopg.connect(**{**parts, "dbname": "postgres"}, connect_timeout=10)


if __name__ == "__main__":
    sys.exit(main())
