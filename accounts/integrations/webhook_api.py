"""The JSON doors of webhooks: `/v1/webhooks` and the log of what was sent, `/v1/webhook-deliveries` (S25)."""

from django.core.exceptions import ValidationError
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import serializers, status
from rest_framework.decorators import action
from rest_framework.response import Response
from rest_framework.viewsets import GenericViewSet

from accounts.permissions import Permission
from tenancy.doors.etags import check_if_match, etag_for, not_modified
from tenancy.doors.paging import PageQuery, paginate
from tenancy.doors.query import Choice, Identifier, Moment, NoQuery, Text
from tenancy.doors.schema import page_of
from tenancy.events import registry, selectors, services
from tenancy.events.models import Delivery, Endpoint

from .webhook_serializers import (
    ChangeWebhookSerializer,
    DeliverySerializer,
    EventTypesSerializer,
    NewSecretSerializer,
    ResendSerializer,
    ResentSerializer,
    RotateSecretSerializer,
    WebhookSerializer,
    WriteWebhookSerializer,
)

MANAGE = Permission.INTEGRATION_MANAGE


class WebhookQuery(PageQuery):
    sorts = {"created_at": ("created_at",)}
    default_sort = "created_at desc"


class WebhookViewSet(GenericViewSet):
    """The clinic's webhooks. Payloads are thin and signed as Standard Webhooks 1.0 describes."""

    queryset = Endpoint.objects.none()
    serializer_class = WebhookSerializer
    versioned = True
    requires = dict.fromkeys(
        (
            *["list", "retrieve", "create", "partial_update", "destroy", "event_types"],
            *["rotate_secret", "pause", "resume", "send_test", "resend"],
        ),
        MANAGE,
    )
    queries = {"list": WebhookQuery, "retrieve": NoQuery, "event_types": NoQuery}

    @extend_schema(responses={200: page_of(WebhookSerializer)}, summary="List the webhooks of the clinic")
    def list(self, request):
        query = WebhookQuery.read(request)
        page = paginate(selectors.list_endpoints(), query)
        return Response(page.envelope(WebhookSerializer(page.items, many=True).data))

    @extend_schema(responses={200: WebhookSerializer}, summary="One webhook, without its secret")
    def retrieve(self, request, pk):
        endpoint = selectors.get_endpoint(pk)
        return not_modified(request, endpoint) or _answer(endpoint)

    @extend_schema(
        request=WriteWebhookSerializer,
        responses={201: NewSecretSerializer},
        examples=[
            OpenApiExample(
                "A chatbot's reminders",
                value={
                    "url": "https://hooks.example.org/carewright",
                    "description": "n8n, reminders",
                    "event_types": ["appointment.created", "appointment.status_changed"],
                },
                request_only=True,
            )
        ],
        summary="Make a webhook; its secret is shown this once",
    )
    def create(self, request):
        given = _checked(WriteWebhookSerializer, request)
        with _FieldErrors():
            endpoint, secret = services.create_endpoint(by=request.member, **given.validated_data)
        return _with_secret(endpoint, secret, status.HTTP_201_CREATED)

    @extend_schema(
        request=ChangeWebhookSerializer(partial=True),
        responses={200: WebhookSerializer},
        examples=[OpenApiExample("Every event", value={"event_types": ["*"]}, request_only=True)],
        summary="Change where it goes, or what it is told of",
    )
    def partial_update(self, request, pk):
        endpoint = selectors.get_endpoint(pk)
        given = _checked(ChangeWebhookSerializer, request)
        check_if_match(request, endpoint)
        with _FieldErrors():
            services.change_endpoint(
                endpoint, by=request.member, expected_version=endpoint.version, **given.validated_data
            )
        return _answer(selectors.get_endpoint(pk))

    @extend_schema(request=None, responses={204: None}, summary="Delete a webhook; what waits is not sent")
    def destroy(self, request, pk):
        endpoint = selectors.get_endpoint(pk)
        check_if_match(request, endpoint)
        services.delete_endpoint(endpoint, by=request.member, expected_version=endpoint.version)
        return Response(status=status.HTTP_204_NO_CONTENT)

    @extend_schema(
        request=RotateSecretSerializer,
        responses={201: NewSecretSerializer},
        examples=[OpenApiExample("A day to change over", value={"overlap_hours": 24}, request_only=True)],
        summary="Make the next secret; both sign for the overlap",
    )
    @action(detail=True, methods=["post"], url_path="rotate-secret")
    def rotate_secret(self, request, pk):
        given = _checked(RotateSecretSerializer, request)
        made = services.rotate_secret(selectors.get_endpoint(pk), by=request.member, overlap=given.overlap)
        return _with_secret(*made, status.HTTP_201_CREATED)

    @extend_schema(request=None, responses={200: WebhookSerializer}, summary="Put events aside for now")
    @action(detail=True, methods=["post"])
    def pause(self, request, pk):
        services.pause_endpoint(selectors.get_endpoint(pk), by=request.member)
        return _answer(selectors.get_endpoint(pk))

    @extend_schema(request=None, responses={200: WebhookSerializer}, summary="Go on, and send what was put aside")
    @action(detail=True, methods=["post"])
    def resume(self, request, pk):
        services.resume_endpoint(selectors.get_endpoint(pk), by=request.member)
        return _answer(selectors.get_endpoint(pk))

    @extend_schema(request=None, responses={202: DeliverySerializer}, summary="Send a test event")
    @action(detail=True, methods=["post"], url_path="test")
    def send_test(self, request, pk):
        delivery = services.send_test_event(selectors.get_endpoint(pk), by=request.member)
        return Response(DeliverySerializer(delivery).data, status=status.HTTP_202_ACCEPTED)

    @extend_schema(
        request=ResendSerializer,
        responses={202: ResentSerializer},
        examples=[
            OpenApiExample(
                "What never arrived since a day",
                value={"since": "2026-03-13T08:00:00Z", "only_failed": True},
                request_only=True,
            )
        ],
        summary="Send what happened in a span of time again",
    )
    @action(detail=True, methods=["post"])
    def resend(self, request, pk):
        endpoint = selectors.get_endpoint(pk)
        given = _checked(ResendSerializer, request)
        many = services.resend_range(endpoint, by=request.member, **given.validated_data)
        return Response({"resent": many}, status=status.HTTP_202_ACCEPTED)

    @extend_schema(responses={200: EventTypesSerializer}, summary="What a webhook can be told of")
    @action(detail=False, methods=["get"], url_path="event-types")
    def event_types(self, request):
        NoQuery.read(request)
        known = [{"code": known.code, "description": str(known.words)} for known in registry.all_types()]
        return Response({"items": known})


class DeliveryQuery(PageQuery):
    """Newest first, as far back as 30 days."""

    sorts = {"since": ("since",)}
    default_sort = "since desc"

    webhook_id = Identifier()
    state = Choice(Delivery.State.values)
    type = Text(max_length=60, description="A code of `event-types`")
    since = Moment()
    until = Moment()


class DeliveryViewSet(GenericViewSet):
    """What was sent to webhooks, and what became of it."""

    queryset = Delivery.objects.none()
    serializer_class = DeliverySerializer
    requires = dict.fromkeys(["list", "retrieve", "resend"], MANAGE)
    queries = {"list": DeliveryQuery, "retrieve": NoQuery}
    names_others = ("list",)  # a list of a webhook that is not there

    @extend_schema(responses={200: page_of(DeliverySerializer)}, summary="The log of deliveries")
    def list(self, request):
        query = DeliveryQuery.read(request)
        endpoint = selectors.get_endpoint(query.webhook_id) if query.webhook_id else None
        found = selectors.list_deliveries(
            endpoint, state=query.state or "", type=query.type or "", since=query.since, until=query.until
        )
        page = paginate(found, query)
        return Response(page.envelope(DeliverySerializer(page.items, many=True).data))

    @extend_schema(responses={200: DeliverySerializer}, summary="One delivery with every try")
    def retrieve(self, request, pk):
        return Response(DeliverySerializer(selectors.get_delivery(pk)).data)

    @extend_schema(request=None, responses={202: DeliverySerializer}, summary="Send it again: same id, same bytes")
    @action(detail=True, methods=["post"])
    def resend(self, request, pk):
        services.resend(selectors.get_delivery(pk), by=request.member)
        return Response(DeliverySerializer(selectors.get_delivery(pk)).data, status=status.HTTP_202_ACCEPTED)


# --- Parts -----------------------------------------------------------------------------------------------------------


class _FieldErrors:
    """What a service refuses by field is a 400 that names the fields."""

    def __enter__(self):
        return self

    def __exit__(self, kind, refused, traceback):
        if isinstance(refused, ValidationError):
            raise serializers.ValidationError(refused.message_dict) from None


def _checked(serializer_class, request):
    given = serializer_class(data=request.data)
    given.is_valid(raise_exception=True)
    return given


def _answer(endpoint, code=status.HTTP_200_OK):
    return Response(WebhookSerializer(endpoint).data, status=code, headers={"ETag": etag_for(endpoint)})


def _with_secret(endpoint, secret, code):
    shown = WebhookSerializer(endpoint).data | {"secret": secret}
    return Response(shown, status=code, headers={"ETag": etag_for(endpoint)})
