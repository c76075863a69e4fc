"""What people name by number or uuid (decision X10)."""

from uuid import UUID

import pytest
from django.http import Http404

from tenancy.tenants.numbering import by_number_or_id

UUID_TEXT = "01939f0e-9a3c-7c4e-b0a1-2f6d1c9e7a55"


@pytest.mark.parametrize(
    ("key", "wanted"),
    [
        ("41", {"number": 41}),
        (41, {"number": 41}),
        (UUID_TEXT, {"pk": UUID(UUID_TEXT)}),
        (UUID(UUID_TEXT), {"pk": UUID(UUID_TEXT)}),
    ],
)
def test_by_number_or_id_takes_both(key, wanted):
    assert by_number_or_id(key) == wanted


@pytest.mark.parametrize("key", ["", "x", "-1", "1.5", "٤١", "1" * 10, UUID_TEXT + "0", "\0"])
def test_by_number_or_id_finds_nothing_by_anything_else(key):
    with pytest.raises(Http404):
        by_number_or_id(key)
