"""The JSON door of the inbox (K44). Everybody reads their own; another's is not there."""

from drf_spectacular.utils import OpenApiExample, OpenApiParameter, extend_schema
from rest_framework.decorators import action
from rest_framework.response import Response
from rest_framework.viewsets import GenericViewSet

from accounts.permissions import Permission
from tenancy.doors.paging import PageQuery, paginate
from tenancy.doors.query import Boolean
from tenancy.doors.routers import NUMBER_OR_UUID
from tenancy.doors.schema import page_of

from . import selectors, services
from .serializers import CountSerializer, MarkAllReadSerializer, NotificationSerializer

EXAMPLE = {
    "id": 41,
    "uuid": "01939f0e-9a3c-7c4e-b0a1-2f6d1c9e7a55",
    "subject": "Your role was changed",
    "body": "Ada Admin gave you the role Nurse.",
    "created_at": "2026-03-14T15:09:26.535897Z",
    "resource_type": "member",
    "resource_id": "01939f0e-1111-7c4e-b0a1-2f6d1c9e7a55",
    "url": "/account/",
    "category": "security",
    "priority": "normal",
    "is_read": True,
    "read_at": "2026-03-14T15:11:02.000000Z",
}


class NotificationQuery(PageQuery):
    sorts = {"created_at": ("number",)}
    default_sort = "created_at desc"

    unread = Boolean(default=None, description="Only those not read yet, or with `false` only those that were.")


class NotificationViewSet(GenericViewSet):
    """What the caller is told."""

    lookup_value_regex = NUMBER_OR_UUID
    requires = {
        "list": Permission.OWN_PROFILE,
        "mark_read": Permission.OWN_PROFILE,
        "mark_all_read": Permission.OWN_PROFILE,
    }
    queries = {"list": NotificationQuery}

    @extend_schema(responses={200: page_of(NotificationSerializer)}, summary="My notifications, newest first")
    def list(self, request):
        query = NotificationQuery.read(request)
        page = paginate(selectors.list_notifications(by=request.member, unread=query.unread), query)
        return Response(page.envelope(NotificationSerializer(page.items, many=True).data))

    @extend_schema(
        request=None,
        responses={200: NotificationSerializer},
        parameters=[
            OpenApiParameter(
                "id", {"type": "string", "pattern": f"^({NUMBER_OR_UUID})$"}, OpenApiParameter.PATH,
                description="The number or the uuid.",
            )
        ],
        examples=[OpenApiExample("Read", value=EXAMPLE, response_only=True)],
        summary="Mark one as read; again changes nothing",
    )  # fmt: skip
    @action(detail=True, methods=["post"], url_path="mark-read")
    def mark_read(self, request, pk):
        notification = selectors.get_notification(pk, by=request.member)
        return Response(NotificationSerializer(services.mark_read(notification)).data)

    @extend_schema(request=MarkAllReadSerializer, responses={200: CountSerializer}, summary="Mark all as read")
    @action(detail=False, methods=["post"], url_path="mark-all-read")
    def mark_all_read(self, request):
        given = MarkAllReadSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        return Response({"count": services.mark_all_read(request.member, up_to=given.validated_data.get("up_to"))})
