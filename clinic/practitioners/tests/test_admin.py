import pytest
from django.contrib import admin as django_admin

from clinic.practitioners import services
from clinic.practitioners.models import Organization, Practitioner


@pytest.mark.parametrize("model", [Practitioner, Organization])
def test_admin_only_looks(admin, rf, model):
    request = rf.get("/")
    request.member = admin
    page = django_admin.site._registry[model]

    assert page.has_view_permission(request)
    assert not page.has_add_permission(request)
    assert not page.has_change_permission(request)
    assert not page.has_delete_permission(request)


@pytest.mark.parametrize("name", ["practitioner", "organization"])
def test_admin_lists_and_shows(admin, page_client, settings, name):
    settings.DEMO = True
    services.create_practitioner(by=admin, data={"first_name": "Ana"})
    services.create_organization(by=admin, data={"name": "Ward"})

    answer = page_client(admin).get(f"/admin/practitioners/{name}/?q=A")

    assert answer.status_code == 200
    assert b"Ana" in answer.content or name == "organization"
