"""The JSON door of patients: MediSecure's resource, Quill's demographics, and who looked."""

import json
from contextlib import contextmanager

from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import status
from rest_framework.decorators import action
from rest_framework.response import Response
from rest_framework.viewsets import GenericViewSet

from accounts.permissions import Permission
from tenancy.doors.etags import check_if_match, etag_for, not_modified
from tenancy.doors.paging import PageQuery, paginate
from tenancy.doors.query import Boolean, Named, NoQuery, Text
from tenancy.doors.refusals import FieldsRefused, problem
from tenancy.doors.schema import keyed_page_of
from tenancy.rules import NotAllowed, RuleBroken

from . import emergencies, selectors, services
from .models import Patient
from .serializers import (
    ArchiveSerializer,
    BreakGlassSerializer,
    DemographicsSerializer,
    EmergencyAccessSerializer,
    LookSerializer,
    PatientRowSerializer,
    PatientSerializer,
    RawDemographicsSerializer,
    RepositoryRowSerializer,
    StoredDemographicsSerializer,
    WritePatientSerializer,
)

EXAMPLE = {
    "name": "María José García Márquez",
    "email": "mj.garcia@example.com",
    "phone": "+57 300 123 4567",
    "dateOfBirth": "1978-03-14",
    "gender": "female",
    "address": "Calle 26 #69-76, Bogotá",
    "bloodType": "O+",
    "allergies": "Penicillin",
}


@contextmanager
def fields_as_sent(serializer):
    """Name the fields a service refuses as the caller has sent them: `dateOfBirth`, not `birth_date`."""
    try:
        yield
    except ValidationError as refused:
        problems = {}
        for name, errors in refused.error_dict.items():
            problems.setdefault(serializer.names_sent.get(name, name), []).extend(errors)
        raise ValidationError(problems) from None


class PatientQuery(PageQuery):
    """MediSecure's `page`, `limit`, `search`; newest first."""

    sorts = {"created_at": (), "name": ("sort_name",)}
    default_sort = "created_at desc"
    default_limit = 10

    search = Text(max_length=200, description="Name parts in any order, document, phone end, e-mail, birth date")
    archived = Boolean(default=False, description="Archived patients, too")
    custom = Named(description="Values of custom fields that can be searched for, `custom[team]=red`")


class PatientViewSet(GenericViewSet):
    """Patients. Nothing is deleted: `archive` takes one out of the lists."""

    queryset = Patient.objects.none()
    serializer_class = PatientSerializer
    versioned = True
    requires = {
        "list": (Permission.PATIENT_VIEW, Permission.PATIENT_VIEW_OWN),
        "retrieve": (Permission.PATIENT_VIEW, Permission.PATIENT_VIEW_OWN),
        "create": Permission.PATIENT_CREATE,
        "partial_update": Permission.PATIENT_EDIT,
        "archive": Permission.PATIENT_ARCHIVE,
        "restore": Permission.PATIENT_ARCHIVE,
        "repositories": Permission.PATIENT_VIEW,
        "demographics": (Permission.PATIENT_VIEW, Permission.PATIENT_VIEW_OWN),
        "put_demographics": Permission.PATIENT_EDIT,
        "looks": Permission.AUDIT_VIEW_RECORD,
        # The service asks for the right, after the chart was found: unknown ids are 404 for everybody.
        "break_glass": Permission.PATIENT_VIEW,
    }
    queries = {"list": PatientQuery, "repositories": PatientQuery, "retrieve": NoQuery, "demographics": NoQuery}

    def get_queryset(self):
        return selectors.list_patients(by=self.request.member)

    @extend_schema(responses={200: keyed_page_of("patients", PatientRowSerializer)}, summary="List or find patients")
    def list(self, request):
        page = self._page(request)
        return Response(page.keyed("patients", PatientRowSerializer(page.items, many=True).data))

    @extend_schema(responses={200: PatientSerializer}, summary="One patient")
    def retrieve(self, request, pk):
        patient = selectors.get_patient(pk, by=request.member)
        emergencies.record_look(patient, by=request.member, kind="api")
        return not_modified(request, patient) or self._answer(patient)

    @extend_schema(
        request=WritePatientSerializer,
        responses={201: PatientSerializer},
        examples=[OpenApiExample("A new patient", value=EXAMPLE, request_only=True)],
        summary="Register a patient",
    )
    def create(self, request):
        given = self._checked(WritePatientSerializer)
        with fields_as_sent(given):
            patient = services.create_patient(by=request.member, data=given.patient_data())
        return self._answer(patient, status.HTTP_201_CREATED)

    @extend_schema(
        request=WritePatientSerializer(partial=True),
        responses={200: PatientSerializer},
        examples=[OpenApiExample("A new phone number", value={"phone": "+57 301 555 0101"}, request_only=True)],
        summary="Change some fields",
    )
    def partial_update(self, request, pk):
        patient = selectors.get_patient(pk, by=request.member)
        given = self._checked(WritePatientSerializer, partial=True)
        expected = self._expected(patient)
        with fields_as_sent(given):
            patient = services.update_patient(
                patient, by=request.member, changes=given.patient_data(), expected_version=expected
            )
        return self._answer(patient)

    @extend_schema(request=ArchiveSerializer, responses={200: PatientSerializer}, summary="Archive, with a reason")
    @action(detail=True, methods=["post"])
    def archive(self, request, pk):
        patient = selectors.get_patient(pk, by=request.member)
        reason = self._checked(ArchiveSerializer).validated_data["reason"]
        expected = self._expected(patient)
        return self._answer(
            services.archive_patient(patient, by=request.member, reason=reason, expected_version=expected)
        )

    @extend_schema(request=None, responses={200: PatientSerializer}, summary="Put an archived patient back")
    @action(detail=True, methods=["post"])
    def restore(self, request, pk):
        patient = selectors.get_patient(pk, by=request.member)
        expected = self._expected(patient)
        return self._answer(services.restore_patient(patient, by=request.member, expected_version=expected))

    @extend_schema(
        responses={200: keyed_page_of("patients", RepositoryRowSerializer)},
        summary="Repositories with their demographics (Quill)",
    )
    @action(detail=False, methods=["get"])
    def repositories(self, request):
        page = self._page(request)
        emergencies.record_looks(page.items, by=request.member, kind="api")
        rows = [
            {"repo": patient.repo, "demographics": json.loads(selectors.demographics_text(patient))}
            | ({"restricted": True} if patient.is_restricted else {})
            for patient in page.items
        ]
        return Response(page.keyed("patients", rows))

    @extend_schema(responses={200: RawDemographicsSerializer}, summary="Demographics as JSON text (Quill)")
    @action(detail=True, methods=["get"])
    def demographics(self, request, pk):
        patient = selectors.get_patient(pk, by=request.member)
        emergencies.record_look(patient, by=request.member, kind="api")
        response = Response({"repo": patient.repo, "content": selectors.demographics_text(patient)})
        response["ETag"] = etag_for(patient)
        return response

    @extend_schema(
        request=DemographicsSerializer,
        responses={200: StoredDemographicsSerializer},
        examples=[
            OpenApiExample(
                "Demographics",
                value={"given_name": "Aurelia", "family_name": "de la Hoz", "date_of_birth": "1978-03-14", "sex": "F"},
                request_only=True,
            )
        ],
        summary="Replace the demographics (Quill)",
    )
    @demographics.mapping.put
    def put_demographics(self, request, pk):
        patient = selectors.get_patient(pk, by=request.member)
        given = self._checked(DemographicsSerializer)
        expected = self._expected(patient)
        with fields_as_sent(given):
            patient = services.replace_demographics(
                patient, by=request.member, data=given.demographics_data(), expected_version=expected
            )
        response = Response({"repo": patient.repo, "path": "demographics/profile.json"})
        response["ETag"] = etag_for(patient)
        return response

    @extend_schema(responses={200: LookSerializer(many=True)}, summary="Who opened this chart")
    @action(detail=True, methods=["get"])
    def looks(self, request, pk):
        patient = selectors.get_patient(pk, by=request.member)
        emergencies.record_look(patient, by=request.member, kind="looks")
        return Response(LookSerializer(selectors.list_looks(patient), many=True).data)

    @extend_schema(
        request=BreakGlassSerializer,
        responses={201: EmergencyAccessSerializer, 200: EmergencyAccessSerializer},
        examples=[
            OpenApiExample(
                "An emergency",
                value={"reason_code": "emergency", "reason": "Unconscious on arrival, allergies needed"},
                request_only=True,
            )
        ],
        summary="Open a restricted chart for an hour (break-glass); 200 while it is open already",
    )
    @action(detail=True, methods=["post"], url_path="break-glass")
    def break_glass(self, request, pk):
        patient = selectors.get_patient_row(pk, by=request.member)
        if not request.member.may(Permission.BREAK_GLASS):
            raise NotAllowed(_("You may not do this."))
        given = self._checked(BreakGlassSerializer).validated_data
        access = emergencies.break_glass(patient, by=request.member, **given)
        code = status.HTTP_200_OK if patient.emergency else status.HTTP_201_CREATED
        return Response(EmergencyAccessSerializer(access).data, status=code)

    def _page(self, request):
        query = PatientQuery.read(request)
        try:
            found = selectors.list_patients(
                by=request.member, search=query.search or "", include_archived=query.archived, custom=query.custom
            )
        except RuleBroken as broken:
            raise FieldsRefused([problem("query", "custom", msg=broken.sentence, type="unknown")]) from None
        return paginate(found, query)

    def _checked(self, serializer_class, **options):
        given = serializer_class(data=self.request.data, **options)
        given.is_valid(raise_exception=True)
        return given

    def _expected(self, patient):
        """The version the caller has seen, for the service to check again under its lock; None when not said."""
        check_if_match(self.request, patient)
        return patient.version if "If-Match" in self.request.headers else None

    def _answer(self, patient, code=status.HTTP_200_OK):
        return Response(PatientSerializer(patient).data, status=code, headers={"ETag": etag_for(patient)})
