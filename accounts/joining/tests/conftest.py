"""What the tests of this room share: mail as it left, and limits that begin afresh."""

import re

import pytest
from django.core import mail
from django.core.cache import cache

from accounts.notifications import sending
from tenancy.tenants.tests.contexts import outside_tenant


@pytest.fixture(autouse=True)
def fresh_limits():
    """Limits count by network address, and all tests come from one."""
    cache.clear()
    yield
    cache.clear()


@pytest.fixture
def mails():
    """`mails(clinic)`: what leaves now, oldest first. Links are made when mail leaves, so this makes them."""

    def leave(clinic):
        with outside_tenant():
            sending.deliver_due(clinic.pk)
        left, mail.outbox[:] = list(mail.outbox), []
        return left

    mail.outbox = []
    return leave


@pytest.fixture
def link_in():
    """`link_in(mail, "join")`: the path of the link that begins so."""

    def find(message, begins):
        [path] = re.findall(rf"^http://localhost:8000(/{begins}/\S+)$", message.body, re.MULTILINE)
        return path

    return find


@pytest.fixture
def time_machine_at():
    """`with time_machine_at(timedelta(days=7)):` the clock stands that much later."""
    import time_machine
    from django.utils import timezone

    return lambda later: time_machine.travel(timezone.now() + later, tick=True)
