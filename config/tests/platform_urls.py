"""Routes that only tests have: an echo of the body, a list with every kind of parameter, and every way to fail."""

from django.core import exceptions as core
from django.db import DataError, IntegrityError, OperationalError
from django.http import Http404, HttpResponse
from django.urls import include, path, re_path
from psycopg import errors as pg
from rest_framework import exceptions as rest
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.response import Response
from rest_framework.viewsets import GenericViewSet, ViewSet

from config import errors
from tenancy.doors.etags import check_if_match, etag_for, not_modified
from tenancy.doors.paging import PageQuery
from tenancy.doors.parsers import require_object
from tenancy.doors.query import Boolean, Choice, Date, Identifier, Integer, Moment, Named, Text
from tenancy.doors.routers import HouseRouter, both_slashes
from tenancy.rules import NotAllowed, RuleBroken, StaleVersion

SECRET = "Zoraida Quintanilla"  # a name that may appear nowhere but where it was sent


class OpenDoor:
    authentication_classes = []
    permission_classes = []
    throttle_classes = []


class NoteSerializer(serializers.Serializer):
    title = serializers.CharField(max_length=50)
    count = serializers.IntegerField(required=False)
    tags = serializers.ListField(child=serializers.CharField(max_length=10), required=False)


class NoteQuery(PageQuery):
    sorts = {"name": "name"}
    search = Text(max_length=20)
    age = Integer(minimum=0, maximum=150)
    active = Boolean()
    kind = Choice(["in", "out"])
    owner = Identifier()
    born = Date()
    since = Moment()
    custom = Named(max_count=2, max_length=5)


class EchoViewSet(OpenDoor, GenericViewSet):
    serializer_class = NoteSerializer
    lookup_value_regex = "[0-9]{1,9}"

    def list(self, request):
        query = NoteQuery.read(request)
        return Response({name: getattr(query, name) for name in query.parameters})

    def create(self, request):
        return Response(request.data, status=201)

    def retrieve(self, request, pk):
        answer = not_modified(request, 3)
        return answer or Response({"id": pk}, headers={"ETag": etag_for(3)})

    def update(self, request, pk):
        check_if_match(request, 3)
        return Response(require_object(request.data))

    @action(detail=False, methods=["post"])
    def checked(self, request):
        data = NoteSerializer(data=request.data)
        data.is_valid(raise_exception=True)
        return Response(data.validated_data)


def database(kind, cause):
    error = kind(f"duplicate key value violates: Key (name)=({SECRET})")
    error.__cause__ = cause(f"DETAIL: Key (name)=({SECRET}) already exists")
    return error


FAILURES = {
    "rule": lambda: RuleBroken("The door is closed."),
    "stale": lambda: StaleVersion("Somebody was faster."),
    "not-allowed": lambda: NotAllowed("Not you."),
    "denied": lambda: core.PermissionDenied(SECRET),
    "missing": lambda: Http404(SECRET),
    "suspicious": lambda: core.SuspiciousOperation(SECRET),
    "too-big": lambda: core.RequestDataTooBig(SECRET),
    "model": lambda: core.ValidationError({"name": ["Too short."]}),
    "throttled": lambda: rest.Throttled(wait=11.2),
    "signed-out": lambda: rest.NotAuthenticated(),
    "unique": lambda: database(IntegrityError, pg.UniqueViolation),
    "overlap": lambda: database(IntegrityError, pg.ExclusionViolation),
    "reference": lambda: database(IntegrityError, pg.ForeignKeyViolation),
    "check": lambda: database(IntegrityError, pg.CheckViolation),
    "not-null": lambda: database(IntegrityError, pg.NotNullViolation),
    "serialization": lambda: database(OperationalError, pg.SerializationFailure),
    "deadlock": lambda: database(OperationalError, pg.DeadlockDetected),
    "cancelled": lambda: database(OperationalError, pg.QueryCanceled),
    "gone": lambda: OperationalError(f"could not connect as {SECRET}"),
    "data": lambda: database(DataError, pg.NumericValueOutOfRange),
    "bug": lambda: ValueError(f"invalid literal: {SECRET}"),
}


class FailingViewSet(OpenDoor, ViewSet):
    def create(self, request, kind):
        raise FAILURES[kind]()


def page(request):
    return HttpResponse("<h1>A page</h1>")


def broken_page(request, name="x"):
    patient = SECRET
    raise ValueError(f"cannot show {patient}")


def failing_page(request, kind):
    raise FAILURES[kind]()


router = HouseRouter()
router.register("notes", EchoViewSet, basename="notes")
api = [
    path("", include(router.urls)),
    *both_slashes("fail/<slug:kind>", FailingViewSet.as_view({"post": "create"}), "fail"),
]

urlpatterns = [
    path("page/", page),
    path("broken/", broken_page),
    path("failing/<slug:kind>/", failing_page),
    path("admin/page/", page),
    path("people/<uuid:pk>/letters/<slug:name>/", page),
    path("api/v1/", include((api, "api_v1"))),
    path("api/", include((api, "api"))),
    re_path(r"^(?P<unknown>(?:api|v1|fhir)(?:/.*)?)$", errors.api_not_found),
]

handler400 = errors.bad_request
handler403 = errors.permission_denied
handler404 = errors.page_not_found
handler500 = errors.failure
