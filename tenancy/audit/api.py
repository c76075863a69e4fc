"""The JSON door of the trail: read it, and take it along as CSV. Nobody writes here."""

from django.http import StreamingHttpResponse
from django.utils import timezone
from django.utils.translation import gettext as _
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework.decorators import action
from rest_framework.response import Response
from rest_framework.viewsets import GenericViewSet

from tenancy.doors.paging import PageQuery, paginate
from tenancy.doors.query import Choice, Date, Identifier, Query, Text
from tenancy.doors.refusals import problem
from tenancy.doors.schema import page_of

from . import selectors, services
from .export import stream_csv
from .serializers import AuditEntrySerializer

EXAMPLE = {
    "items": [
        {
            "id": 1042,
            "uuid": "01939f0e-9a3c-7c4e-b0a1-2f6d1c9e7a55",
            "timestamp": "2026-03-14T15:09:26.535897Z",
            "user": {"id": "01939f0e-1111-7c4e-b0a1-2f6d1c9e7a55", "name": "Nora Nurse", "kind": "member"},
            "action": "patient_updated",
            "resource_type": "patient",
            "resource_id": "01939f0e-2222-7c4e-b0a1-2f6d1c9e7a55",
            "resource_label": "Camila Torres",
            "reason": "",
            "changes": {"phone": ["", "+57 301 555 0101"]},
            "details": {},
            "ip": "192.0.2.7",
            "request_id": "6f0c2d7e",
            "erased": False,
            "entry_hash": "9f2c61d07be84a35b6f18e0c72d94a5b9f2c61d07be84a35b6f18e0c72d94a5b",
        }
    ],
    "page": 1,
    "page_size": 20,
    "total": 1,
    "pages": 1,
    "next_cursor": None,
}


class EntryFilters(Query):
    """The filters of the QMS document. Days are whole, in UTC, both included."""

    user_id = Identifier(description="The person, in whichever of their roles.")
    action = Text(max_length=60, description="Such as `patient_updated`.")
    resource_type = Text(max_length=60, description="Such as `patient`.")
    resource_id = Text(max_length=64)
    date_from = Date()
    date_to = Date()

    def check(self):
        if self.date_from and self.date_to and self.date_from > self.date_to:
            return [problem("query", "date_to", msg=_("This lies before date_from."), type="order")]
        return super().check()

    def filters(self) -> dict:
        return {name: getattr(self, name) for name in EntryFilters.parameters}


class EntryQuery(EntryFilters, PageQuery):
    sorts = {"id": "seq"}


class ExportQuery(EntryFilters):
    format = Choice(["csv"], default="csv")


class AuditViewSet(GenericViewSet):
    """The trail of the caller's clinic."""

    requires = {"list": "audit.view_all", "export": "audit.export"}
    queries = {"list": EntryQuery, "export": ExportQuery}

    @extend_schema(
        responses={200: page_of(AuditEntrySerializer)},
        examples=[OpenApiExample("A change", value=EXAMPLE, response_only=True)],
        summary="Read the trail, newest first",
    )
    def list(self, request):
        query = EntryQuery.read(request)
        page = paginate(selectors.list_entries(**query.filters()), query)
        return Response(page.envelope(selectors.describe_entries(page.items, by=request.member)))

    @extend_schema(responses={(200, "text/csv"): OpenApiTypes.STR}, summary="The trail as a file, oldest first")
    @action(detail=False)
    def export(self, request):
        filters = ExportQuery.read(request).filters()
        last = services.record_export(by=request.member, filters=filters)
        response = StreamingHttpResponse(
            stream_csv(request.tenant.id, by=request.member, last=last, filters=filters),
            content_type="text/csv; charset=utf-8",
        )
        name = f"audit-{request.tenant.slug}-{timezone.now():%Y-%m-%d}.csv"
        response["Content-Disposition"] = f'attachment; filename="{name}"'
        return response
