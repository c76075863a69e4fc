"""Celery tasks inside a clinic."""

from functools import wraps

from celery import shared_task

from .context import NoTenant, tenant_context


def tenant_task(**options):
    """A Celery task whose first argument is `tenant_id`; its body runs inside that clinic.

    Without a tenant it refuses with NoTenant before touching the database.
    Arguments are ids only: the broker must not hold anything about a person.
    """

    def decorate(function):
        @shared_task(**options)
        @wraps(function)
        def run(tenant_id, *args, **kwargs):
            if not tenant_id:
                raise NoTenant(f"{function.__name__} was called without a tenant.")
            with tenant_context(tenant_id):
                return function(*args, **kwargs)

        return run

    return decorate
