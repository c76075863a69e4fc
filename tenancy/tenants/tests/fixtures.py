"""The database of a test (registered by `config.testing`)."""

import pytest
from django.core.cache import cache
from django.db import connection
from django.utils import timezone, translation

from .databases import create_database, drop_database


@pytest.fixture(scope="session")
def django_db_setup(django_test_environment, django_db_blocker):
    """A database of this process's own; the settings name it already."""
    name = connection.settings_dict["NAME"]
    with django_db_blocker.unblock():
        create_database(name)
    yield
    with django_db_blocker.unblock():
        connection.close()
        drop_database(name)


@pytest.fixture
def committed_db(request, django_db_setup, django_db_blocker):
    """The database without a transaction around the test: what commits stays. Make clinics with random slugs."""
    assert "db" not in request.fixturenames, "A test has either db or committed_db."
    with django_db_blocker.unblock():
        yield
        assert not connection.in_atomic_block
        connection.close()


@pytest.fixture
def transactional_db():
    """Refused: it would flush every table afterwards, and the app role may not."""
    pytest.fail("Use committed_db: the app role can not flush tables.")


@pytest.fixture(autouse=True)
def _fresh_start(django_db_setup):
    """Every test begins in English, with rate limits at zero. The database is there, though only some may use it."""
    cache.clear()
    translation.activate("en")
    timezone.deactivate()
