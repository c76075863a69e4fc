"""What runs Carewright outside Django: the launcher behind `make run` and the embedded servers it and the tests use.

bootstrap.py   from a bare Python to an environment with the locked packages
run.py         `make run`, from the first check to the last goodbye
state.py       STATE_DIR: lock, secrets, the environment of the installation
prepare.py     roles, tables, demo data, in one Django process
manage.py      one manage.py command on a running installation
create_tenant_and_apikey.py   a clinic and its first key
supervisor.py  keeps the processes alive and ends them together
servers.py     PostgreSQL and Redis out of Python packages
"""


class Problem(Exception):
    """Something a person can mend. The text is one sentence for the terminal; the exit code is not 0."""


def reason_of(error: OSError) -> str:
    """What the system says of an error, fit for the end of a sentence."""
    return (error.strerror or str(error)).lower()
