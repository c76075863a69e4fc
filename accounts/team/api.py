"""The JSON door of people, roles, permissions and groups (Doctolib's users, MediSecure's profile, the QMS document)."""

from django.utils.translation import gettext as _
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import status
from rest_framework.decorators import action
from rest_framework.exceptions import NotFound
from rest_framework.response import Response
from rest_framework.viewsets import GenericViewSet, ViewSet

from accounts.permission_words import sections, words_for
from accounts.permissions import BUNDLES, CONFLICTS, Permission
from accounts.qualifications.selectors import list_qualifications
from accounts.qualifications.serializers import (
    QualificationSerializer,
    QualificationsSerializer,
    WriteQualificationSerializer,
)
from accounts.qualifications.services import record_qualification
from accounts.users.models import Membership
from tenancy.doors.etags import check_if_match, etag_for, not_modified
from tenancy.doors.paging import PageQuery, paginate
from tenancy.doors.query import Boolean, NoQuery, Text
from tenancy.doors.refusals import FieldsRefused, problem
from tenancy.doors.routers import NUMBER_OR_UUID, UUID_FORM
from tenancy.doors.schema import page_of
from tenancy.rules import RuleBroken

from . import selectors
from .serializers import (
    AssignRolesSerializer,
    GrantSerializer,
    GrantsSerializer,
    GroupMemberIdSerializer,
    GroupMemberSerializer,
    GroupSerializer,
    MemberPermissionsSerializer,
    MemberSerializer,
    PermissionsSerializer,
    ProfileSerializer,
    ReasonSerializer,
    RolePermissionsSerializer,
    RoleSerializer,
    WholeGroupSerializer,
    WriteGrantSerializer,
    WriteGroupSerializer,
    WriteMemberSerializer,
    WriteProfileSerializer,
    WriteRoleSerializer,
)
from .services import groups, members, rights, roles

ONLY_AT_WORK = ("specialization", "department")


def _checked(serializer_class, request, **options):
    given = serializer_class(data=request.data, **options)
    given.is_valid(raise_exception=True)
    return given.validated_data


def _expected(request, row):
    """The version the caller has seen, for the service to check again under its lock; None when not said."""
    check_if_match(request, row)
    return row.version if "If-Match" in request.headers else None


# --- People ----------------------------------------------------------------------------------------------------------


class MemberQuery(PageQuery):
    """The people of the clinic, by name."""

    sorts = {"name": ("user__name",), "created_at": ("created_at",)}
    default_sort = "name asc"

    search = Text(max_length=200, description="The beginning of any part of the name, or of the e-mail address.")
    search_full_name = Text(max_length=200, description="The beginning of any part of the name (Doctolib).")
    role = Text(max_length=40, description="A role's code, such as `doctor`.")
    is_active = Boolean()


class UserViewSet(GenericViewSet):
    """The people of the caller's clinic. Nobody is deleted: `is_active` false keeps somebody out."""

    queryset = Membership.objects.none()
    serializer_class = MemberSerializer
    requires = {
        "list": Permission.USER_MANAGE,
        "retrieve": Permission.USER_MANAGE,
        "partial_update": Permission.USER_MANAGE,
        "me": Permission.OWN_PROFILE,
        "patch_me": Permission.OWN_PROFILE,
        "roles": Permission.ROLE_MANAGE,
        "permissions": Permission.ROLE_MANAGE,
        "grant": Permission.ROLE_MANAGE,
        "delete_grant": Permission.ROLE_MANAGE,
        "end_grant": Permission.ROLE_MANAGE,
        "qualifications": Permission.QUALIFICATION_MANAGE,
        "record_qualification": Permission.QUALIFICATION_MANAGE,
    }
    queries = {
        "list": MemberQuery,
        "retrieve": NoQuery,
        "me": NoQuery,
        "permissions": NoQuery,
        "qualifications": NoQuery,
    }

    @extend_schema(responses={200: page_of(MemberSerializer)}, summary="List or find people")
    def list(self, request):
        query = MemberQuery.read(request)
        found = selectors.list_members(
            by=request.member,
            search=query.search or "",
            full_name=query.search_full_name or "",
            role=query.role or "",
            is_active=query.is_active,
        )
        page = paginate(found, query)
        return Response(page.envelope(self._described(page.items, many=True)))

    @extend_schema(responses={200: MemberSerializer}, summary="One person")
    def retrieve(self, request, pk):
        NoQuery.read(request)
        return Response(self._described(selectors.get_member(pk, by=request.member)))

    @extend_schema(
        request=WriteMemberSerializer,
        responses={200: MemberSerializer},
        examples=[OpenApiExample("Left the clinic", value={"is_active": False, "reason": "Left"}, request_only=True)],
        summary="Change what the clinic knows of somebody, or keep them out",
    )
    def partial_update(self, request, pk):
        member = selectors.get_member(pk, by=request.member)
        given = dict(_checked(WriteMemberSerializer, request))
        is_active, reason = given.pop("is_active", None), given.pop("reason", "")
        if given:
            member = members.update_member(member, by=request.member, changes=given, reason=reason)
        if is_active is False and member.is_active:
            member = members.deactivate_member(member, by=request.member, reason=reason)
        elif is_active and not member.is_active:
            member = members.reactivate_member(member, by=request.member, reason=reason)
        return Response(self._described(member))

    @extend_schema(responses={200: ProfileSerializer}, summary="Oneself")
    @action(detail=False, methods=["get"])
    def me(self, request):
        NoQuery.read(request)
        return Response(ProfileSerializer(request.member).data)

    @extend_schema(
        request=WriteProfileSerializer,
        responses={200: ProfileSerializer},
        examples=[OpenApiExample("A new phone", value={"phone": "+57 300 123 4567"}, request_only=True)],
        summary="Change one's own name, phone, language, specialization, department",
    )
    @me.mapping.patch
    def patch_me(self, request):
        member = request.member
        given = dict(_checked(WriteProfileSerializer, request))
        for name in () if member.is_staff else ONLY_AT_WORK:
            given.pop(name, None)
        ignored = sorted(str(key)[:100] for key in request.data if key not in given)
        changed = members.update_profile(member, by=member, changes=given)
        changed.hold(member.roles, member.rights)
        return Response(ProfileSerializer(changed, context={"ignored": ignored}).data)

    @extend_schema(
        request=AssignRolesSerializer,
        responses={200: MemberSerializer},
        examples=[OpenApiExample("Two roles", value={"roles": ["nurse", "qa"], "reason": "New"}, request_only=True)],
        summary="Give somebody exactly these roles",
    )
    @action(detail=True, methods=["put"])
    def roles(self, request, pk):
        member = selectors.get_member(pk, by=request.member)
        given = _checked(AssignRolesSerializer, request)
        try:
            rights.find_roles(given["roles"])
        except RuleBroken as unknown:
            raise FieldsRefused([problem("body", "roles", msg=unknown.sentence, type="unknown")]) from None
        return Response(self._described(rights.assign_roles(member, given["roles"], by=request.member,
                                                            reason=given["reason"])))  # fmt: skip

    @extend_schema(responses={200: MemberPermissionsSerializer}, summary="What somebody may do, and single permissions")
    @action(detail=True, methods=["get"])
    def permissions(self, request, pk):
        NoQuery.read(request)
        member = selectors.get_member(pk, by=request.member)
        grants = GrantSerializer(selectors.list_grants(member), many=True).data
        return Response({"permissions": sorted(member.permissions), "items": grants})

    @extend_schema(
        request=WriteGrantSerializer,
        responses={201: GrantsSerializer},
        examples=[
            OpenApiExample(
                "For a month",
                value={"permission": "metrics.view", "effect": "grant", "reason": "Report",
                       "valid_until": "2199-04-14T00:00:00Z"},
                request_only=True,
            )
        ],
        summary="Give or deny one permission, with a reason and for a time",
    )  # fmt: skip
    @permissions.mapping.post
    def grant(self, request, pk):
        member = selectors.get_member(pk, by=request.member)
        given = dict(_checked(WriteGrantSerializer, request))
        act = rights.deny_permission if given.pop("effect") == "deny" else rights.grant_permission
        made = act(member, given.pop("permission"), by=request.member, **given)
        return Response({"items": GrantSerializer(made, many=True).data}, status=status.HTTP_201_CREATED)

    @extend_schema(request=None, responses={204: None}, summary="Take a single permission back")
    @action(detail=True, methods=["delete"], url_path=f"permissions/(?P<grant_id>{UUID_FORM})")
    def delete_grant(self, request, pk, grant_id):
        rights.end_grant(selectors.get_grant(selectors.get_member(pk, by=request.member), grant_id), by=request.member)
        return Response(status=status.HTTP_204_NO_CONTENT)

    @extend_schema(
        request=ReasonSerializer,
        responses={200: GrantSerializer},
        summary="Take a single permission back, with a reason",
    )
    @action(detail=True, methods=["post"], url_path=f"permissions/(?P<grant_id>{UUID_FORM})/end")
    def end_grant(self, request, pk, grant_id):
        grant = selectors.get_grant(selectors.get_member(pk, by=request.member), grant_id)
        reason = _checked(ReasonSerializer, request)["reason"]
        return Response(GrantSerializer(rights.end_grant(grant, by=request.member, reason=reason)).data)

    @extend_schema(responses={200: QualificationsSerializer}, summary="Licences, privileges and training of somebody")
    @action(detail=True, methods=["get"])
    def qualifications(self, request, pk):
        NoQuery.read(request)
        rows = list_qualifications(selectors.get_member(pk, by=request.member))
        return Response({"items": QualificationSerializer(rows, many=True).data})

    @extend_schema(
        request=WriteQualificationSerializer,
        responses={201: QualificationSerializer},
        examples=[
            OpenApiExample(
                "A licence",
                value={"kind": "medical-licence", "number": "RM 1234", "valid_from": "2026-01-01",
                       "valid_until": "2030-12-31"},
                request_only=True,
            )
        ],
        summary="Record a licence, privilege or training; nobody records their own",
    )  # fmt: skip
    @qualifications.mapping.post
    def record_qualification(self, request, pk):
        member = selectors.get_member(pk, by=request.member)
        row = record_qualification(member, by=request.member, **_checked(WriteQualificationSerializer, request))
        return Response(QualificationSerializer(row).data, status=status.HTTP_201_CREATED)

    def _described(self, found, many=False):
        people = found if many else [found]
        if many:
            selectors.hold_roles(people)
        context = {"last_seen": selectors.last_seen(people)}
        return MemberSerializer(found, many=many, context=context).data


# --- Roles -----------------------------------------------------------------------------------------------------------


class RoleQuery(PageQuery):
    sorts = {"id": ("number",), "code": ("code",)}
    default_sort = "id asc"


class RoleViewSet(GenericViewSet):
    """The clinic's roles. Built-in ones stay as the release brings them; copy one to change it."""

    serializer_class = RoleSerializer
    versioned = True
    lookup_value_regex = NUMBER_OR_UUID
    requires = {
        "list": Permission.OWN_PROFILE,
        "retrieve": Permission.OWN_PROFILE,
        "create": Permission.ROLE_MANAGE,
        "partial_update": Permission.ROLE_MANAGE,
        "destroy": Permission.ROLE_MANAGE,
        "permissions": Permission.ROLE_MANAGE,
    }
    queries = {"list": RoleQuery, "retrieve": NoQuery}

    @extend_schema(responses={200: page_of(RoleSerializer)}, summary="Roles with their permissions")
    def list(self, request):
        page = paginate(selectors.list_roles(), RoleQuery.read(request))
        return Response(page.envelope(RoleSerializer(page.items, many=True).data))

    @extend_schema(responses={200: RoleSerializer}, summary="One role")
    def retrieve(self, request, pk):
        NoQuery.read(request)
        role = selectors.get_role(pk)
        return not_modified(request, role) or self._answer(role)

    @extend_schema(
        request=WriteRoleSerializer,
        responses={201: RoleSerializer},
        examples=[
            OpenApiExample(
                "A role", value={"name": "Ward clerk", "permissions": ["patients.view", "documents.read"]},
                request_only=True,
            )
        ],
        summary="Make a role of the clinic's own",
    )  # fmt: skip
    def create(self, request):
        given = _checked(WriteRoleSerializer, request)
        return self._answer(roles.create_role(by=request.member, **given), status.HTTP_201_CREATED)

    @extend_schema(request=WriteRoleSerializer(partial=True), responses={200: RoleSerializer}, summary="Change a role")
    def partial_update(self, request, pk):
        role = selectors.get_role(pk)
        given = _checked(WriteRoleSerializer, request, partial=True)
        return self._answer(
            roles.update_role(role, by=request.member, expected_version=_expected(request, role), **given)
        )

    @extend_schema(responses={204: None}, summary="Delete a role nobody has")
    def destroy(self, request, pk):
        role = selectors.get_role(pk)
        _expected(request, role)
        roles.delete_role(role, by=request.member)
        return Response(status=status.HTTP_204_NO_CONTENT)

    @extend_schema(
        request=RolePermissionsSerializer,
        responses={200: RoleSerializer},
        examples=[OpenApiExample("By bundles", value={"permissions": ["training.read"]}, request_only=True)],
        summary="Replace what a role may do",
    )
    @action(detail=True, methods=["put"])
    def permissions(self, request, pk):
        role = selectors.get_role(pk)
        given = _checked(RolePermissionsSerializer, request)
        return self._answer(
            roles.update_role(role, by=request.member, expected_version=_expected(request, role), **given)
        )

    def _answer(self, role, code=status.HTTP_200_OK):
        return Response(RoleSerializer(role).data, status=code, headers={"ETag": etag_for(role)})


class PermissionViewSet(ViewSet):
    """What there is to be allowed."""

    requires = {"list": Permission.OWN_PROFILE}
    queries = {"list": NoQuery}

    @extend_schema(responses={200: PermissionsSerializer}, summary="Every permission in words, bundles, refused pairs")
    def list(self, request):
        NoQuery.read(request)
        return Response(
            {
                "items": [
                    {"code": code, "words": words_for(code), "section": title}
                    for title, codes in sections()
                    for code in codes
                ],
                "bundles": [{"name": name, "permissions": list(codes)} for name, codes in BUNDLES.items()],
                "conflicts": [list(pair) for pair in CONFLICTS],
            }
        )


# --- Groups ----------------------------------------------------------------------------------------------------------


class GroupQuery(PageQuery):
    sorts = {"name": ("name",), "id": ("number",)}
    default_sort = "name asc"

    ended = Boolean(default=False, description="Groups that are over, too.")


class GroupViewSet(GenericViewSet):
    """Groups: all of them for who manages them, the own ones for everybody else. DELETE ends one; its past stays."""

    serializer_class = GroupSerializer
    versioned = True
    lookup_value_regex = NUMBER_OR_UUID
    requires = {
        "list": (Permission.OWN_PROFILE, Permission.GROUP_MANAGE),
        "retrieve": (Permission.OWN_PROFILE, Permission.GROUP_MANAGE),
        "create": Permission.GROUP_MANAGE,
        "update": Permission.GROUP_MANAGE,
        "destroy": Permission.GROUP_MANAGE,
        "add_member": Permission.GROUP_MANAGE,
        "remove_member": Permission.GROUP_MANAGE,
    }
    queries = {"list": GroupQuery, "retrieve": NoQuery}

    @extend_schema(responses={200: page_of(GroupSerializer)}, summary="Groups: one's own, or all for who manages them")
    def list(self, request):
        query = GroupQuery.read(request)
        page = paginate(selectors.list_groups(by=request.member, include_ended=query.ended), query)
        return Response(page.envelope(GroupSerializer(page.items, many=True).data))

    @extend_schema(responses={200: WholeGroupSerializer}, summary="One group and who is in it")
    def retrieve(self, request, pk):
        NoQuery.read(request)
        group = selectors.get_group(pk, by=request.member)
        return not_modified(request, group) or self._answer(group)

    @extend_schema(
        request=WriteGroupSerializer,
        responses={201: WholeGroupSerializer},
        examples=[OpenApiExample("A group", value={"name": "Hygiene team", "type": "Department"}, request_only=True)],
        summary="Make a group",
    )
    def create(self, request):
        group = groups.create_group(by=request.member, **self._given(request))
        return self._answer(group, status.HTTP_201_CREATED)

    @extend_schema(request=WriteGroupSerializer, responses={200: WholeGroupSerializer}, summary="Change a group")
    def update(self, request, pk):
        group = selectors.get_group(pk, by=request.member)
        given = self._given(request)
        return self._answer(
            groups.update_group(group, by=request.member, expected_version=_expected(request, group), **given)
        )

    @extend_schema(responses={204: None}, summary="End a group; nothing is deleted")
    def destroy(self, request, pk):
        group = selectors.get_group(pk, by=request.member)
        _expected(request, group)
        groups.deactivate_group(group, by=request.member)
        return Response(status=status.HTTP_204_NO_CONTENT)

    @extend_schema(
        request=GroupMemberIdSerializer, responses={201: WholeGroupSerializer}, summary="Put somebody into a group"
    )
    @action(detail=True, methods=["post"], url_path="add-member")
    def add_member(self, request, pk):
        group = selectors.get_group(pk, by=request.member)
        user_id = _checked(GroupMemberIdSerializer, request)["user_id"]
        groups.add_group_member(group, selectors.get_member(user_id, by=request.member), by=request.member)
        return self._answer(group, status.HTTP_201_CREATED)

    @extend_schema(responses={204: None}, summary="Take somebody out of a group")
    @action(detail=True, methods=["delete"], url_path=f"remove-member/(?P<user_id>{UUID_FORM})")
    def remove_member(self, request, pk, user_id):
        group = selectors.get_group(pk, by=request.member)
        _expected(request, group)
        if not groups.remove_group_member(group, selectors.get_member(user_id, by=request.member), by=request.member):
            raise NotFound(_("This person is not in the group."))
        return Response(status=status.HTTP_204_NO_CONTENT)

    def _given(self, request):
        given = dict(_checked(WriteGroupSerializer, request))
        given["kind"] = given.pop("type")
        return given

    def _answer(self, group, code=status.HTTP_200_OK):
        inside = list(selectors.list_group_members(group))
        group.size = len(inside)
        body = GroupSerializer(group).data | {"members": GroupMemberSerializer(inside, many=True).data}
        return Response(body, status=code, headers={"ETag": etag_for(group)})
