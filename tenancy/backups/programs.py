"""pg_dump and pg_restore: found, asked for their version, and run so that no password is on a command line."""

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import psycopg
from django.conf import settings
from django.db import connection
from psycopg.conninfo import make_conninfo

OLDEST = 17  # pg_dump 17 learned to leave extensions out


class ProgramProblem(Exception):
    """pg_dump or pg_restore can not do it. The text is a sentence for the operator, without passwords."""


def find_program(name: str, server_version: int) -> str:
    """The path of pg_dump or pg_restore, not older than the server (its major version). Raises ProgramProblem."""
    folder = settings.POSTGRES_PROGRAMS
    path = str(Path(folder) / name) if folder else shutil.which(name)
    try:
        said = subprocess.run([path or name, "--version"], capture_output=True, text=True, check=True).stdout  # noqa: S603
    except (OSError, subprocess.CalledProcessError):
        raise ProgramProblem(
            f"{name} is not here; install PostgreSQL's client programs or name their folder in POSTGRES_PROGRAMS."
        ) from None
    version = re.search(r"(\d+)[.\d]*\s*(\(|$)", said.strip())
    if version is None or int(version[1]) < max(OLDEST, server_version):
        raise ProgramProblem(f"{said.strip()} is too old for PostgreSQL {server_version} (at least {OLDEST}).")
    return path or name


def connect_as(role: tuple[str, str], **options: Any) -> psycopg.Connection:
    """A connection of its own to the database Django works on, as another role."""
    return psycopg.connect(_address(role[0]), password=role[1], autocommit=True, connect_timeout=10, **options)


def start_program(program: str, arguments: list[str], role: tuple[str, str], **pipes: Any) -> subprocess.Popen:
    """Start it on the database Django works on, as a role."""
    command = [program, "--no-password", f"--dbname={_address(role[0])}", *arguments]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    return subprocess.Popen(command, env=environment | {"PGPASSWORD": role[1], "LC_ALL": "C"}, **pipes)  # noqa: S603


def _address(user: str) -> str:
    mine = connection.settings_dict
    options = {name: value for name, value in mine["OPTIONS"].items() if name != "server_side_binding"}
    where = {"host": mine["HOST"], "port": mine["PORT"]}
    return make_conninfo(
        dbname=mine["NAME"], user=user, **options, **{name: value for name, value in where.items() if value}
    )
