"""The door of patients for other servers: `/v1/patients` and the lists its fields are taken from (Secre, S6 to S9)."""

import re
from contextlib import contextmanager
from typing import Any

from django.core.exceptions import ValidationError
from django.http import Http404
from django.utils.translation import gettext as _
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, extend_schema
from rest_framework import status
from rest_framework.decorators import action
from rest_framework.response import Response
from rest_framework.viewsets import GenericViewSet

from accounts.api_keys import fast_creates
from accounts.api_keys.fast_lane import FastResource, Filter, Name, register
from accounts.api_keys.once import make_once
from accounts.permissions import Permission
from clinic.names import document_key
from tenancy.doors.clear import ClearPayload
from tenancy.doors.compiled import CompiledRows
from tenancy.doors.etags import check_if_match, etag_for, not_modified
from tenancy.doors.paging import paginate
from tenancy.doors.payloads import LookupListSerializer, lookup_answer
from tenancy.doors.query import NoQuery
from tenancy.doors.refusals import FieldsRefused, problem
from tenancy.doors.schema import page_of
from tenancy.rules import RuleBroken

from . import custom_fields, emergencies, event_types, selectors, services
from .models import DocumentType, Gender, Insurer, Lookup, Patient
from .serializers_v1 import (
    V1PatientCreateSerializer,
    V1PatientQuery,
    V1PatientSearchSerializer,
    V1PatientSerializer,
    V1PatientUpdateSerializer,
)

EXAMPLE = {
    "eventType": "PATIENT",
    "actionType": "CREATE",
    "firstName": "María",
    "secondName": "José",
    "firstLastName": "García",
    "secondLastName": "Márquez",
    "birthDate": "1990-05-15",
    "genderId": 2,
    "documentTypeId": 1,
    "documentNumber": "1020304050",
    "phone": "6012345678",
    "cellPhone": "3001234567",
    "email": "maria.garcia@example.com",
    "epsId": "EPS001",
    "habeasData": True,
    "customFields": {"preferred_channel": "whatsapp", "allergies": ["penicillin"], "notes": None},
}
SNAKE_EXAMPLE = {
    "first_name": "Jorge",
    "first_last_name": "Ruiz",
    "birth_date": "1985-11-02",
    "gender_id": 1,
    "document_type_id": 2,
    "document_number": "456789",
    "idempotencyKey": "n8n-7f3a-item-0",
}

KIND = "patient"
"""By which a key in the body remembers what it has made."""
A_PAGE = page_of(V1PatientSerializer)


class PatientViewSet(GenericViewSet):
    """Patients for other servers. DELETE archives: the chart leaves this door, and the clinic can restore it."""

    queryset = Patient.objects.none()
    serializer_class = V1PatientSerializer
    versioned = True
    requires = {
        "list": Permission.PATIENT_VIEW,
        "retrieve": Permission.PATIENT_VIEW,
        "search": Permission.PATIENT_VIEW,
        "by_document": Permission.PATIENT_VIEW,
        "create": Permission.PATIENT_CREATE,
        "partial_update": Permission.PATIENT_EDIT,
        "destroy": Permission.PATIENT_ARCHIVE,
    }
    queries = {"list": V1PatientQuery, "retrieve": NoQuery, "by_document": NoQuery}
    keyless = {"search": "It only reads."}

    @extend_schema(responses={200: A_PAGE}, summary="List or filter patients")
    def list(self, request):
        query = V1PatientQuery.read(request)
        return self._page(query, "query", self._document_type(query.document_type_id))

    @extend_schema(
        request=V1PatientSearchSerializer,
        responses={200: A_PAGE},
        examples=[
            OpenApiExample(
                "By document", value={"documentTypeId": 1, "documentNumber": "1020304050"}, request_only=True
            )
        ],
        summary="The same filters in a body, for what should not stand in an address",
    )
    @action(detail=False, methods=["post"])
    def search(self, request):
        given = self._checked(V1PatientSearchSerializer)
        query = given.query()
        return self._page(query, "body", query.document_type_id)

    @extend_schema(
        responses={200: V1PatientSerializer},
        parameters=[
            OpenApiParameter("type", str, OpenApiParameter.PATH, description="Id or code, `1` or `CC`"),
            OpenApiParameter("number", str, OpenApiParameter.PATH),
        ],
        summary="One patient by document",
    )
    @action(detail=False, methods=["get"], url_path="by-document/(?P<type>[^/]{1,40})/(?P<number>[^/]{1,100})")
    def by_document(self, request, type, number):
        found = selectors.find_lookup(DocumentType, int(type) if type.isascii() and type.isdigit() else type)
        if found is None:
            raise Http404
        return self._shown(selectors.get_patient_by_document(found, number, by=request.member))

    @extend_schema(responses={200: V1PatientSerializer}, summary="One patient")
    def retrieve(self, request, pk):
        return self._shown(self._patient(pk))

    @extend_schema(
        request=V1PatientCreateSerializer,
        responses={201: V1PatientSerializer, 200: V1PatientSerializer},
        examples=[
            OpenApiExample("As a chatbot sends it", value=EXAMPLE, request_only=True),
            OpenApiExample("snake_case, with a key of its own", value=SNAKE_EXAMPLE, request_only=True),
        ],
        summary="Register a patient; 200 where the idempotencyKey has made one before",
    )
    def create(self, request):
        given = self._checked(V1PatientCreateSerializer)
        key = given.values.get("idempotency_key", "")
        with _as_sent(given):
            pk, is_new = make_once(
                lambda: services.create_patient(by=request.member, data=given.patient_data()),
                by=request.member,
                kind=KIND,
                key=key,
                sent=request.data,
            )
        return self._answer(self._patient(pk), status.HTTP_201_CREATED if is_new else status.HTTP_200_OK)

    @extend_schema(
        request=V1PatientUpdateSerializer(partial=True),
        responses={200: V1PatientSerializer},
        examples=[
            OpenApiExample(
                "A new mobile number",
                value={"eventType": "PATIENT", "actionType": "UPDATE", "cellPhone": "3017654321"},
                request_only=True,
            )
        ],
        summary="Change some fields",
    )
    def partial_update(self, request, pk):
        patient = self._patient(pk)
        given = self._checked(V1PatientUpdateSerializer, partial=True, patient=patient)
        expected = self._expected(patient)
        with _as_sent(given, patient):
            changed = services.update_patient(
                patient, by=request.member, changes=given.patient_data(), expected_version=expected
            )
        return self._answer(changed)

    @extend_schema(request=None, responses={204: None}, summary="Archive a patient")
    def destroy(self, request, pk):
        patient = self._patient(pk)
        expected = self._expected(patient)
        reason = _("Deleted by %(name)s.") % {"name": request.member.display_name}
        services.archive_patient(patient, by=request.member, reason=reason, expected_version=expected)
        return Response(status=status.HTTP_204_NO_CONTENT)

    def _patient(self, pk) -> Patient:
        patient = selectors.get_patient(pk, by=self.request.member)
        if patient.is_archived:
            raise Http404
        return patient

    def _page(self, query: V1PatientQuery, location: str, document_type: DocumentType | None) -> Response:
        try:
            found = selectors.list_patients_with(
                by=self.request.member,
                document_type=document_type,
                document_number=query.document_number or "",
                email=query.email or "",
                phone=query.phone or "",
                cell_phone=query.cell_phone or "",
                custom=query.custom,
            )
        except RuleBroken as broken:
            raise FieldsRefused([problem(location, "custom", msg=broken.sentence, type="unknown")]) from None
        page = paginate(found, query)
        return Response(page.envelope(V1PatientSerializer(page.items, many=True).data))

    def _document_type(self, text: str | None) -> DocumentType | None:
        if text is None:
            return None
        found = selectors.find_lookup(DocumentType, int(text) if text.isascii() and text.isdigit() else text)
        if found is None:
            sentence = _("Invalid document type ID: %(given)s") % {"given": text}
            raise FieldsRefused([problem("query", "document_type_id", msg=sentence, type="lookup")])
        return found

    def _checked(self, serializer_class, *, patient: Patient | None = None, **options) -> Any:
        context = {"country": self.request.tenant.country, "patient": patient}
        given = serializer_class(data=self.request.data, context=context, **options)
        given.is_valid(raise_exception=True)
        return given

    def _expected(self, patient):
        """The version the caller has seen, for the service to check again under its lock; None when not said."""
        check_if_match(self.request, patient)
        return patient.version if "If-Match" in self.request.headers else None

    def _shown(self, patient: Patient):
        emergencies.record_look(patient, by=self.request.member, kind="api")
        return not_modified(self.request, patient) or self._answer(patient)

    def _answer(self, patient: Patient, code=status.HTTP_200_OK):
        return Response(V1PatientSerializer(patient).data, status=code, headers={"ETag": etag_for(patient)})


FAST = register(
    FastResource(
        path="/v1/patients",
        rows=CompiledRows(V1PatientSerializer, Patient, computed={"is_restricted": "r.restricted_at IS NOT NULL"}),
        permission=Permission.PATIENT_VIEW,
        present="r.archived_at IS NULL",
        plain="r.restricted_at IS NULL",
        look="api",
        filters={
            "document_type_id": Filter(
                # Nobody finds a restricted chart by what it says.
                "r.restricted_at IS NULL AND r.document_type_id = {0}::smallint",
                lambda text: text.isascii() and text.isdecimal() and len(text) < 4,
            )
        },
        names={
            "by-document": Name(
                re.compile(r"([0-9]{1,3})/([0-9A-Za-z.-]{1,50})"),
                # The last is what a kept plan needs to know before it may use the index of documents.
                "r.document_type_id = {0}::smallint AND r.document_key = {1} AND r.document_key > ''",
                lambda type, number: (type, document_key(number)),
                "/by-document/{type}/{number}",
            )
        },
    )
)
"""Plain reads of patients take the short way (accounts.api_keys.fast_lane)."""


fast_creates.register(
    fast_creates.FastCreate(
        path="/v1/patients",
        kind=KIND,
        payload=ClearPayload(V1PatientCreateSerializer),
        context=lambda tenant: {"country": tenant.country, "patient": None},
        prepare=lambda given, by, fields: services.prepare_registration(
            by=by, data=given.patient_data(), fields=fields.defined
        ),
        rows=FAST.rows,
        permissions=(Permission.PATIENT_CREATE, Permission.PATIENT_VIEW),
        action="patient_created",
        changes=services.changes_of_new,
        event=event_types.CREATED,
        knowledge=fast_creates.Knowledge(custom_fields.look_at_fields, custom_fields.are_as_known),
    )
)
"""Plain creates of patients, too (accounts.api_keys.fast_creates)."""


@contextmanager
def _as_sent(given: V1PatientCreateSerializer, patient: Patient | None = None):
    """Name fields that a service refuses as the caller spelled them, and say what duplicates the way Secre does."""
    try:
        yield
    except ValidationError as refused:
        problems: dict[str, list] = {}
        for name, errors in refused.error_dict.items():
            problems.setdefault(given.name_sent(name), []).extend(errors)
        raise ValidationError(problems) from None
    except services.DuplicateDocument:
        if patient is not None:
            raise services.DuplicateDocument(_("Another patient with this document already exists")) from None
        sentence = _("Patient with document %(number)s already exists")
        if selectors.is_archived(given.values["document_type"], given.values["document_number"]):
            sentence = _("Patient with document %(number)s already exists, and is archived: the clinic can restore it.")
        raise services.DuplicateDocument(sentence % {"number": given.values["document_number"]}) from None


# --- Lists that fields are taken from --------------------------------------------------------------------------------


class PatientLookupViewSet(GenericViewSet):
    """Document types, genders and insurers. All clinics share them; nobody can add to them (decision X14)."""

    serializer_class = LookupListSerializer
    queryset = Patient.objects.none()
    lists = {"document-types": "document_types", "genders": "genders", "eps": "eps", "insurers": "insurers"}
    requires = dict.fromkeys(
        lists.values(), (Permission.PATIENT_VIEW, Permission.APPOINTMENT_VIEW, Permission.INTEGRATION_MANAGE)
    )
    queries = dict.fromkeys(lists.values(), NoQuery)

    @extend_schema(responses={200: LookupListSerializer}, summary="Kinds of identity documents")
    def document_types(self, request):
        return _entries(request, DocumentType)

    @extend_schema(responses={200: LookupListSerializer}, summary="Genders")
    def genders(self, request):
        return _entries(request, Gender)

    @extend_schema(responses={200: LookupListSerializer}, summary="Health insurers (EPS)")
    def eps(self, request):
        return _entries(request, Insurer)

    @extend_schema(responses={200: LookupListSerializer}, summary="Health insurers (EPS), by their other name")
    def insurers(self, request):
        return _entries(request, Insurer)


def _entries(request, table: type[Lookup]) -> Response:
    NoQuery.read(request)
    rows = list(table.objects.all())
    return lookup_answer([(row.pk, row.code, str(row), _about(row)) for row in rows])


def _about(row: Lookup) -> str:
    """What else is known of an entry: the country of a document, the word of a gender, the NIT of an insurer."""
    return getattr(row, "country", "") or getattr(row, "word", "") or getattr(row, "nit", "")
