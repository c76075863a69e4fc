"""What other servers send and receive about patients under `/v1`: Secre's fields (contract.md 5.2)."""

from typing import Any, ClassVar

from django.utils.translation import gettext_lazy
from rest_framework import serializers

from tenancy.doors.paging import PageQuery
from tenancy.doors.payloads import FilterField, OneWord, PayloadSerializer, SearchPayload
from tenancy.doors.query import Named, Text

from .fields_v1 import DayField, DocumentTypeField, GenderField, InsurerField, PhoneField, tidy_document
from .models import Patient

# --- Out -------------------------------------------------------------------------------------------------------------


class V1PatientSerializer(serializers.Serializer):
    """A patient. Of a `restricted` chart nothing is told but the name: the other fields are empty."""

    id = serializers.UUIDField()
    tenant_id = serializers.UUIDField()
    first_name = serializers.CharField()
    second_name = serializers.CharField()
    first_last_name = serializers.CharField()
    second_last_name = serializers.CharField()
    birth_date = serializers.DateField(allow_null=True)
    gender_id = serializers.IntegerField(help_text="/v1/lookups/genders")
    document_type_id = serializers.IntegerField(allow_null=True, help_text="/v1/lookups/document-types")
    document_number = serializers.CharField()
    phone = serializers.CharField()
    cell_phone = serializers.CharField()
    email = serializers.CharField()
    eps_id = serializers.CharField(source="insurer.code", allow_null=True, help_text="/v1/lookups/eps")
    habeas_data = serializers.BooleanField(help_text="Agrees to data processing (Law 1581)")
    custom_fields = serializers.DictField()
    restricted = serializers.BooleanField(source="is_restricted")
    created_at = serializers.DateTimeField()
    updated_at = serializers.DateTimeField()


# --- In --------------------------------------------------------------------------------------------------------------


class V1PatientCreateSerializer(PayloadSerializer):
    """A patient as a chatbot sends one, in camelCase or snake_case.

    `idempotencyKey` is the same in every try of one registration, for tools
    that can not send the header: what it has made is answered (200), not made again.
    """

    TEXTS: ClassVar = ("second_name", "second_last_name", "phone", "cell_phone", "email")

    eventType = OneWord("PATIENT")
    actionType = OneWord("CREATE")
    firstName = serializers.CharField(source="first_name", max_length=120)
    secondName = serializers.CharField(
        source="second_name", max_length=120, required=False, allow_blank=True, allow_null=True
    )
    firstLastName = serializers.CharField(source="first_last_name", max_length=120)
    secondLastName = serializers.CharField(
        source="second_last_name", max_length=120, required=False, allow_blank=True, allow_null=True
    )
    birthDate = DayField(source="birth_date")
    genderId = GenderField(source="gender")
    documentTypeId = DocumentTypeField(source="document_type")
    documentNumber = serializers.CharField(source="document_number", max_length=50)
    phone = PhoneField(max_length=30, required=False, allow_blank=True, allow_null=True)
    cellPhone = PhoneField(source="cell_phone", max_length=30, required=False, allow_blank=True, allow_null=True)
    email = serializers.EmailField(
        max_length=254,
        required=False,
        allow_blank=True,
        allow_null=True,
        error_messages={"invalid": gettext_lazy("Invalid email format")},
    )
    epsId = InsurerField(source="insurer", required=False, allow_null=True)
    habeasData = serializers.BooleanField(source="habeas_data", required=False)
    customFields = serializers.DictField(source="custom_fields", required=False, allow_null=True)
    idempotencyKey = serializers.CharField(source="idempotency_key", max_length=255, required=False)

    def validate(self, attrs):
        patient: Patient | None = self.context.get("patient")
        if "document_type" in attrs or "document_number" in attrs:
            type = attrs.get("document_type") or (patient and patient.document_type)
            number = attrs.get("document_number") or (patient and patient.document_number)
            if type and number:
                attrs["document_number"] = tidy_document(type, number)
        return attrs

    def patient_data(self) -> dict[str, Any]:
        """What the services take. A null text is an empty one, null custom fields are none."""
        data = {name: value for name, value in self.values.items() if name != "idempotency_key"}
        data |= {name: "" for name in self.TEXTS if name in data and data[name] is None}
        if data.get("custom_fields", {}) is None:
            data["custom_fields"] = {}
        return data


class V1PatientUpdateSerializer(V1PatientCreateSerializer):
    """Any of the fields. `customFields` are replaced as a whole."""

    actionType = OneWord("UPDATE")
    idempotencyKey = None


# --- Finding ---------------------------------------------------------------------------------------------------------


class V1PatientQuery(PageQuery):
    """Exact filters: a bot that asks for a number must not get somebody whose number begins alike."""

    sorts = {"created_at": (), "name": ("sort_name",)}
    default_sort = "created_at desc"

    document_type_id = Text(
        max_length=40, names=("document_type_id", "documentTypeId"), description="Id or code, `1` or `CC`"
    )
    document_number = Text(
        max_length=50, names=("document_number", "documentNumber"), description="Whole; separators do not count"
    )
    email = Text(max_length=254, description="Whole; upper and lower case are the same")
    phone = Text(max_length=30, description="`phone` or `cell_phone`; with or without the country's code")
    cell_phone = Text(
        max_length=30, names=("cell_phone", "cellPhone"), description="With or without the country's code"
    )
    custom = Named(description="Values of custom fields that can be searched for, `custom[team]=red`")


class V1PatientSearchSerializer(SearchPayload):
    """The filters of the list, in a body."""

    query_class = V1PatientQuery

    eventType = OneWord("PATIENT")
    actionType = OneWord("READ")
    documentTypeId = DocumentTypeField(source="document_type_id", required=False)
    documentNumber = serializers.CharField(source="document_number", max_length=50, required=False)
    email = serializers.CharField(max_length=254, required=False)
    phone = serializers.CharField(max_length=30, required=False)
    cellPhone = serializers.CharField(source="cell_phone", max_length=30, required=False)
    customFields = FilterField(source="custom", required=False, help_text="Those that can be searched for")
    sort = serializers.ChoiceField(
        choices=[f"{word} {way}" for word in V1PatientQuery.sorts for way in ("asc", "desc")], required=False
    )
