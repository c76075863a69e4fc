"""The promises of the house (design/house.md, section 3). They guard safety and direction, never taste or length.

1. Floors import downwards, rooms of a floor in their order, nothing imports the roof.
2. Services, selectors and models know nothing of the web.
3. Every row belongs to a clinic.
4. Every page and API action names the permission it needs.

import-linter (`.importlinter`, a gate in scripts/lint.py) holds the first, too,
and the order of files inside a room. Each promise is broken on purpose below.
"""

import ast
from pathlib import Path

import pytest
from django.apps import apps
from django.conf import settings
from django.db import models
from django.http import HttpResponse
from django.urls import URLPattern, URLResolver, get_resolver, path
from rest_framework.response import Response
from rest_framework.viewsets import ViewSet

from accounts.guards import PUBLIC, public, requires
from accounts.permissions import DEFAULT_ROLES, Permission
from tenancy.tenants.catalogue import SHARED_TABLES
from tenancy.tenants.models import TenantModel

ROOT = Path(__file__).resolve().parents[2]
FLOORS = ["tenancy", "accounts", "clinic", "quality", "config"]
ROOMS = {
    "tenancy": ["rules", "postgres", "tenants", "doors", "audit"],
    "accounts": [
        *["permissions", "guards", "notifications", "drafts", "users"],
        *["qualifications", "second_factor", "joining", "team"],
    ],
    "clinic": ["names", "patients", "practitioners", "places", "scheduling", "fhir"],
}
WEB = ("django.http", "django.forms", "django.template", "django.shortcuts", "django.urls", "django.views",
       "rest_framework", "drf_spectacular", "django_htmx")  # fmt: skip
# "Not yours looks like not there" (house.md, section 2): the one word of the web that a selector may say.
NOT_THERE = {"django.http.Http404", "django.shortcuts.get_object_or_404"}
KNOW_NO_WEB = ("services", "selectors", "models", "tasks")
BANNED_NAMES = {"views", "utils", "util", "helpers", "common", "core", "misc"}

UNGUARDED = {
    "admin": "Every page of the admin site asks CarewrightAdminSite.has_permission.",
    "config.errors.api_not_found": "Answers 404 to what no room answers.",
}


# --- 1. Direction ----------------------------------------------------------------------------------------------------


def source_files(*floors):
    """Every module of these floors, without tests and migrations."""
    for floor in floors:
        for file in sorted((ROOT / floor).rglob("*.py")):
            if not {"tests", "migrations"} & set(file.relative_to(ROOT).parts):
                yield file


def imports_of(tree, package):
    """Absolute names of what a module imports; `package` is the package it lies in, for relative imports."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            stem = ".".join([*base, *([node.module] if node.module else [])])
            yield from (f"{stem}.{alias.name}" for alias in node.names)


def upward_imports(text, package):
    """Imports that go to a higher floor, to a later room of the same floor, or out of the house to its tools."""
    floor, room = [*package.split("."), ""][:2]
    for name in imports_of(ast.parse(text), package):
        target, inner = [*name.split("."), ""][:2]
        order = ROOMS.get(floor, [])
        higher = target in FLOORS and FLOORS.index(target) > FLOORS.index(floor)
        later = target == floor and {room, inner} <= set(order) and order.index(inner) > order.index(room)
        if higher or later or target == "scripts":
            yield name


def package_of(file):
    return ".".join(file.relative_to(ROOT).parts[:-1])


def test_floors_and_rooms_import_downwards():
    broken = {
        f"{file.relative_to(ROOT)}: {name}"
        for file in source_files("tenancy", "accounts", "clinic", "quality")
        for name in upward_imports(file.read_text(), package_of(file))
    }

    assert broken == set()


@pytest.mark.parametrize(
    ("package", "line"),
    [
        ("tenancy.audit", "from accounts.users.models import User"),
        ("tenancy.tenants", "from tenancy.audit import services"),
        ("tenancy.tenants", "from ..audit import services"),
        ("clinic.patients", "import clinic.fhir.models"),
        ("clinic.patients", "from config.look import forms"),
        ("accounts.users", "def late():\n    from quality import capa"),
        ("clinic.patients", "from scripts.servers import start_redis"),
    ],
)
def test_an_upward_import_is_found(package, line):
    assert list(upward_imports(line, package))


def test_every_room_has_a_place_in_the_order():
    rooms = [room for room in settings.ROOMS if not room.startswith("config.")]

    assert [room for room in rooms if room.split(".")[1] not in ROOMS.get(room.split(".")[0], [])] == []


def test_no_module_is_named_for_nothing():
    files = source_files(*FLOORS)
    named = [str(file.relative_to(ROOT)) for file in files if BANNED_NAMES & {file.stem, *file.parent.parts}]

    assert named == []


# --- 2. The web stays outside ----------------------------------------------------------------------------------------


def web_imports(text, package):
    found = imports_of(ast.parse(text), package)
    return [name for name in found if any(name == web or name.startswith(f"{web}.") for web in WEB)]


def test_services_selectors_and_models_know_nothing_of_the_web():
    broken = {
        f"{file.relative_to(ROOT)}: {name}"
        for file in source_files("tenancy", "accounts", "clinic", "quality")
        if set(KNOW_NO_WEB) & {file.stem, file.parent.name}
        for name in web_imports(file.read_text(), package_of(file))
        if not (name in NOT_THERE and "selectors" in {file.stem, file.parent.name})
    }

    assert broken == set()


@pytest.mark.parametrize(
    "line",
    ["from django.http import Http404", "import rest_framework", "from django import forms", "import django.urls.base"],
)
def test_a_web_import_is_found(line):
    assert web_imports(line, "clinic.patients")


# --- 3. Every row belongs to a clinic --------------------------------------------------------------------------------


def rows_without_a_clinic(found):
    """Models of ours that are neither tenant tables nor listed in `catalogue`. History tables carry `tenant`, too."""
    return [
        model._meta.label
        for model in found
        if not issubclass(model, TenantModel)
        and not any(field.attname == "tenant_id" for field in model._meta.concrete_fields if field.name == "tenant")
        and model._meta.db_table not in SHARED_TABLES
    ]


def our_models():
    return [
        model for model in apps.get_models(include_auto_created=True) if model._meta.app_config.name in settings.ROOMS
    ]


def test_every_row_belongs_to_a_clinic():
    assert rows_without_a_clinic(our_models()) == []


def test_a_table_without_a_clinic_is_found():
    class Orphan(models.Model):
        class Meta:
            app_label = "tenants"
            managed = False

        def __str__(self):
            return ""

    try:
        assert rows_without_a_clinic([Orphan]) == ["tenants.Orphan"]
    finally:
        del apps.all_models["tenants"]["orphan"]
        apps.clear_cache()


# --- 4. Every door names its permission ------------------------------------------------------------------------------


def routes(patterns, prefix=""):
    """Every (address, callback) below, leaving out the apps on the list."""
    for pattern in patterns:
        address = prefix + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            if pattern.app_name not in UNGUARDED:
                yield from routes(pattern.url_patterns, address)
        elif isinstance(pattern, URLPattern):
            yield address, pattern.callback


def unnamed(callback):
    """What is wrong with a door: "" where it names existing permissions or says why it is public."""
    if f"{callback.__module__}.{callback.__qualname__}" in UNGUARDED:
        return ""
    if hasattr(callback, "cls"):
        return unnamed_actions(callback)
    if getattr(callback, "public_reason", ""):
        return ""
    codes = getattr(callback, "required_permissions", ())
    return f"unknown permission {unknown}" if (unknown := strangers(codes)) else "" if codes else "names no permission"


def unnamed_actions(callback):
    table = getattr(callback.cls, "requires", None)
    actions = getattr(callback, "actions", None)
    if table is None or not actions:
        return f"{callback.cls.__name__} has no table of permissions"
    for action in actions.values():
        codes = table.get(action, ())
        codes = (codes,) if isinstance(codes, str) else codes
        if not codes:
            return f"{callback.cls.__name__}.{action} names no permission"
        if unknown := strangers(code for code in codes if code != PUBLIC):
            return f"{callback.cls.__name__}.{action} names the unknown permission {unknown}"
    return ""


def strangers(codes):
    known = {str(permission) for permission in Permission}
    return next((str(code) for code in codes if str(code) not in known), "")


def test_every_page_and_action_names_its_permission():
    doors = dict(routes(get_resolver().url_patterns))

    assert len(doors) > 15, "the walk has lost its way"
    assert {address: problem for address, callback in doors.items() if (problem := unnamed(callback))} == {}


def test_every_default_role_is_made_of_permissions_that_exist():
    assert [strangers(codes) for _name, codes in DEFAULT_ROLES.values()] == [""] * len(DEFAULT_ROLES)


def bare_page(request):
    return HttpResponse()


class Sloppy(ViewSet):
    requires = {"list": "patients.view", "create": "patients.invent"}

    def list(self, request):
        return Response()

    create = destroy = list


class Careless(ViewSet):
    list = Sloppy.list


@pytest.mark.parametrize(
    ("door", "problem"),
    [
        (bare_page, "names no permission"),
        (requires("patients.invent")(bare_page), "unknown permission patients.invent"),
        (public("")(requires()(bare_page)), "names no permission"),
        (Sloppy.as_view({"delete": "destroy"}), "Sloppy.destroy names no permission"),
        (
            Sloppy.as_view({"get": "list", "post": "create"}),
            "Sloppy.create names the unknown permission patients.invent",
        ),
        (Careless.as_view({"get": "list"}), "Careless has no table of permissions"),
    ],
)
def test_a_door_without_permission_is_found(door, problem):
    [(_address, callback)] = routes([path("somewhere/", door)])

    assert unnamed(callback) == problem


def test_a_guarded_door_is_fine():
    assert unnamed(requires(Permission.PATIENT_VIEW)(bare_page)) == ""
    assert unnamed(Sloppy.as_view({"get": "list"})) == ""
