"""Small resources that all look alike at the door: a keyed list, one row, add, change, and sometimes take away.

    @describe("a specialty", {"name": "Cardiology"})
    class SpecialtyViewSet(ResourceViewSet):
        key = "specialties"
        ...
        def rows(self, query): ...      # what a list shows
        def row(self, pk): ...          # Http404 for what is not theirs
        def add(self, data): ...
        def change(self, row, data): ...

Resources with rules of their own write their actions out instead.
"""

import hashlib
from typing import Any, ClassVar

import orjson
from drf_spectacular.utils import OpenApiExample, extend_schema, extend_schema_view
from rest_framework import serializers, status
from rest_framework.response import Response
from rest_framework.viewsets import GenericViewSet

from .etags import check_if_match, etag_for, not_modified
from .paging import paginate
from .schema import keyed_page_of


class ResourceViewSet(GenericViewSet):
    """List, retrieve, create, partial_update. The ETag of a row without a `version` is a digest of what is sent."""

    key: ClassVar[str] = ""
    write_serializer_class: ClassVar[type[serializers.Serializer]]
    versioned = True
    queries: ClassVar[dict] = {}

    def rows(self, query):
        raise NotImplementedError

    def row(self, pk):
        raise NotImplementedError

    def add(self, data: dict[str, Any]):
        raise NotImplementedError

    def change(self, row, data: dict[str, Any]):
        raise NotImplementedError

    def list(self, request):
        query = self.queries["list"].read(request)
        page = paginate(self.rows(query), query)
        return Response(page.keyed(self.key, self.serializer_class(page.items, many=True).data))

    def retrieve(self, request, pk):
        row = self.row(pk)
        return not_modified(request, self.version_of(row)) or self._answer(row)

    def create(self, request):
        return self._answer(self.add(self._checked()), status.HTTP_201_CREATED)

    def partial_update(self, request, pk):
        row = self.row(pk)
        data = self._checked(partial=True)
        check_if_match(request, self.version_of(row))
        self.change(row, data)
        return self._answer(self.row(pk))

    def version_of(self, row) -> str:
        sent = orjson.dumps(dict(self.serializer_class(row).data), default=str, option=orjson.OPT_SORT_KEYS)
        return hashlib.sha256(sent).hexdigest()[:16]

    def _checked(self, **options) -> dict[str, Any]:
        given = self.write_serializer_class(data=self.request.data, **options)
        given.is_valid(raise_exception=True)
        return dict(given.validated_data)

    def _answer(self, row, code=status.HTTP_200_OK):
        return Response(self.serializer_class(row).data, status=code, headers={"ETag": etag_for(self.version_of(row))})


class RemovableMixin:
    """DELETE, answered 204. What it means is for the room: `remove(row)`."""

    def remove(self, row):
        raise NotImplementedError

    def destroy(self, request, pk):
        row = self.row(pk)
        check_if_match(request, self.version_of(row))
        self.remove(row)
        return Response(status=status.HTTP_204_NO_CONTENT)


def describe(thing: str, example: dict[str, Any], change: dict[str, Any] | None = None):
    """Write these actions into the OpenAPI document: `thing` in words, `example` a body that creates one."""

    def decorate(viewset):
        row, write = viewset.serializer_class, viewset.write_serializer_class
        words = thing.partition(" ")[2] if thing.startswith(("a ", "an ")) else thing
        first = dict([next(iter(example.items()))])
        actions = {
            "list": extend_schema(responses={200: keyed_page_of(viewset.key, row)}, summary=f"List: {words}"),
            "retrieve": extend_schema(responses={200: row}, summary=f"One {words}"),
            "create": extend_schema(
                request=write,
                responses={201: row},
                examples=[OpenApiExample(words.capitalize(), value=example, request_only=True)],
                summary=f"Add {thing}",
            ),
            "partial_update": extend_schema(
                request=write(partial=True),
                responses={200: row},
                examples=[OpenApiExample("A change", value=change or first, request_only=True)],
                summary=f"Change {thing}",
            ),
        }
        if hasattr(viewset, "destroy"):
            actions["destroy"] = extend_schema(request=None, responses={204: None}, summary=f"Take {thing} away")
        return extend_schema_view(**actions)(viewset)

    return decorate
