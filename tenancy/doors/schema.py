"""The OpenAPI document: what all operations share is said here once (drf-spectacular).

A viewset says the rest where it belongs: `queries = {"list": PatientQuery}`
for its parameters, `versioned = True` when its rows have an ETag and take
`If-Match` (or the actions of which that holds), and `@extend_schema(responses=page_of(PatientSerializer))`. Every
POST takes an `Idempotency-Key`, unless `keyless` says why not.
"""

import re
from typing import Any

from drf_spectacular.openapi import AutoSchema
from drf_spectacular.plumbing import is_list_serializer
from drf_spectacular.utils import OpenApiParameter, inline_serializer
from rest_framework import serializers

from .retry_keys import HEADER, LONGEST_KEY, REPLAYED, why_keyless

PREFIX = re.compile(r"^/(?:api/v1|api|v1|fhir/R4)/")
UNSAFE = {"POST", "PUT", "PATCH", "DELETE"}

DONE = {"200": "Done.", "201": "Created.", "202": "Accepted, will be done.", "204": "Done; there is no body."}
ERRORS = {
    "400": ("BadRequest", "The request is not valid. `detail` is a list when single fields are wrong."),
    "401": ("NotAuthenticated", "Nobody is signed in, or the credential does not count any more."),
    "403": ("Forbidden", "The caller may not do this."),
    "404": ("NotFound", "There is no such thing here, or it belongs to somebody else."),
    "409": ("Conflict", "A rule says no, or it exists already. `detail` is a sentence for the reader."),
    "412": ("Stale", "Somebody else saved first: `If-Match` names an older version."),
    "413": ("TooLarge", "The body is too large."),
    "415": ("UnsupportedMediaType", "Send `application/json` in UTF-8."),
    "422": ("KeyReused", "The `Idempotency-Key` was used for another request."),
    "429": ("TooManyRequests", "Too many requests; `Retry-After` says in how many seconds again."),
}
KEY_SCHEMA = {"type": "string", "minLength": 1, "maxLength": LONGEST_KEY, "pattern": r"^[\x21-\x7e]+$"}
KEY_TEXT = (
    "Names this request, so that sending it again does nothing twice: within 24 hours the same key with the same body"
    " is given the first answer again. Visible ASCII, such as a UUID."
)


class HouseAutoSchema(AutoSchema):
    """drf-spectacular's inspector with the house's parameters, errors and headers."""

    def get_operation(self, path, path_regex, path_prefix, method, registry):
        operation = super().get_operation(path, path_regex, path_prefix, method, registry)
        if operation is None:
            return None
        for code, response in operation["responses"].items():
            response["description"] = response.get("description") or DONE.get(code, "Done.")
            headers = response.setdefault("headers", {})
            headers.setdefault("X-Request-ID", {"$ref": "#/components/headers/X-Request-ID"})
            if self._is_versioned() and code in {"200", "201"}:
                headers.setdefault("ETag", {"$ref": "#/components/headers/ETag"})
            if self._takes_key():
                headers.setdefault(REPLAYED, {"$ref": f"#/components/headers/{REPLAYED}"})
        for code in self._errors(operation):
            operation["responses"].setdefault(code, {"$ref": f"#/components/responses/{ERRORS[code][0]}"})
        operation["responses"] = dict(sorted(operation["responses"].items()))
        return operation

    def _errors(self, operation) -> list[str]:
        codes = ["400", "401", "403", "429"]
        if "{" in self.path or self._action() in getattr(self.view, "names_others", ()):
            codes.append("404")
        if self.method in UNSAFE:
            codes.append("409")
        if operation.get("requestBody"):
            codes += ["413", "415"]
        if self._takes_if_match():
            codes.append("412")
        if self._takes_key():
            codes.append("422")
        return codes

    def get_override_parameters(self):
        parameters: list[Any] = list(super().get_override_parameters())
        query = getattr(self.view, "queries", {}).get(self._action())
        if query is not None:
            parameters += query.openapi()
        if self._takes_if_match():
            parameters.append(
                OpenApiParameter("If-Match", str, OpenApiParameter.HEADER, description="The ETag that was read.")
            )
        if self._takes_key():
            parameters.append(OpenApiParameter(HEADER, KEY_SCHEMA, OpenApiParameter.HEADER, description=KEY_TEXT))
        return parameters

    def get_operation_id(self):
        """Unique over all doors: the same words under /api/v1 and /v1 get the door's name in front."""
        door = PREFIX.match(self.path)
        name = {"/api/v1/": "token_", "/v1/": "integration_", "/fhir/R4/": "fhir_"}.get(door[0], "") if door else ""
        return name + super().get_operation_id()

    def get_tags(self):
        """The room: the first word behind the door."""
        words = PREFIX.sub("", self.path).strip("/").split("/")
        return [words[0] or "api"]

    def get_filter_backends(self):
        return []

    def _is_list_view(self, serializer=None):
        """Only `many=True` makes an answer a list: our lists come in an envelope, which is one object."""
        return super()._is_list_view() if serializer is None else is_list_serializer(serializer)

    def _action(self) -> str:
        return getattr(self.view, "action", None) or self.method.lower()

    def _takes_key(self) -> bool:
        return self.method == "POST" and not why_keyless(self.view, self._action())

    def _is_versioned(self) -> bool:
        versioned = getattr(self.view, "versioned", False)
        return self._action() in versioned if isinstance(versioned, set) else versioned and "{" in self.path

    def _takes_if_match(self) -> bool:
        is_change = self.method in UNSAFE - {"POST"} or self._action() in getattr(self.view, "changes_by_post", ())
        return self._is_versioned() and is_change


def add_house_components(result, generator, request, public):
    """Postprocessing hook: the Error schema, the error responses and the headers that operations refer to."""
    components = result.setdefault("components", {})
    components.setdefault("schemas", {}).update(_schemas())
    components["responses"] = {name: _error_response(code, text) for code, (name, text) in ERRORS.items()}
    components["headers"] = {
        "X-Request-ID": {
            "description": "Names the request in our logs. A plain one that you send is kept.",
            "schema": {"type": "string", "maxLength": 64},
        },
        "ETag": {"description": "The version; send it back as `If-Match`.", "schema": {"type": "string"}},
        REPLAYED: {
            "description": "`true` when this answer was given before to the same `Idempotency-Key`.",
            "schema": {"type": "string", "enum": ["true"]},
        },
        "Retry-After": {"description": "Seconds to wait.", "schema": {"type": "integer", "minimum": 1}},
        "RateLimit-Policy": {
            "description": "How many requests (`q`) in how many seconds (`w`). With an API key in each answer.",
            "schema": {"type": "string", "examples": ['"key";q=600;w=60']},
        },
        "RateLimit": {
            "description": "How many are left (`r`); in how many seconds (`t`) there are more, or all of them again.",
            "schema": {"type": "string", "examples": ['"key";r=598;t=1']},
        },
    }
    components["schemas"] = dict(sorted(components["schemas"].items()))
    return result


def _schemas() -> dict:
    text = {"type": "string"}
    location = {"type": "array", "items": {"type": ["string", "integer"]}, "examples": [["body", "birth_date"]]}
    return {
        "Error": {
            "type": "object",
            "description": "Every error answer of every door.",
            "required": ["detail", "code", "trace_id"],
            "properties": {
                "detail": {"oneOf": [text, {"type": "array", "items": {"$ref": "#/components/schemas/FieldError"}}]},
                "code": {**text, "description": "A word for programs, such as `validation_error`."},
                "trace_id": {**text, "description": "The X-Request-ID of the answer."},
            },
        },
        "FieldError": {
            "type": "object",
            "required": ["loc", "msg", "type"],
            "properties": {"loc": location, "msg": text, "type": text},
        },
    }


def _error_response(code: str, text: str) -> dict:
    headers = {"X-Request-ID": {"$ref": "#/components/headers/X-Request-ID"}}
    if code == "429":
        for name in ("Retry-After", "RateLimit-Policy", "RateLimit"):
            headers[name] = {"$ref": f"#/components/headers/{name}"}
    return {
        "description": text,
        "headers": headers,
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}, "example": _example(code)}},
    }


def _example(code: str) -> dict:
    if code == "400":
        problem = {"loc": ["body", "birth_date"], "msg": "The birth date lies in the future.", "type": "invalid"}
        return {"detail": [problem], "code": "validation_error", "trace_id": "6f0c2d7e"}
    words = {
        "401": ("Authentication credentials were not provided.", "not_authenticated"),
        "403": ("You may not do this.", "permission_denied"),
        "404": ("Not found", "not_found"),
        "409": ("This exists already.", "duplicate"),
        "412": ("Somebody else has changed this in the meantime.", "stale_version"),
        "413": ("The request is too large.", "too_large"),
        "415": ("JSON has to be sent in UTF-8.", "unsupported_charset"),
        "422": ("This Idempotency-Key was used for another request.", "key_reused"),
        "429": ("Too many requests. Try again in 12 seconds.", "throttled"),
    }
    return {"detail": words[code][0], "code": words[code][1], "trace_id": "6f0c2d7e"}


def page_of(row: type[serializers.Serializer]) -> serializers.Serializer:
    """The house's envelope around these rows, for `@extend_schema(responses=...)`; `Page.envelope` fills it."""
    return inline_serializer(
        name=f"PageOf{row.__name__.removesuffix('Serializer')}",
        fields={
            "items": row(many=True),
            "page": serializers.IntegerField(allow_null=True, help_text="Null when reached by a cursor."),
            "page_size": serializers.IntegerField(),
            **_totals(),
            "next_cursor": serializers.CharField(allow_null=True),
        },
    )


def keyed_page_of(name: str, row: type[serializers.Serializer]) -> serializers.Serializer:
    """MediSecure's envelope: the rows under `name`; `Page.keyed` fills it."""
    return inline_serializer(
        name=f"{row.__name__.removesuffix('Serializer')}Page",
        fields={
            name: row(many=True),
            "page": serializers.IntegerField(allow_null=True, help_text="Null when reached by a cursor."),
            "limit": serializers.IntegerField(),
            **_totals(),
        },
    )


def _totals() -> dict[str, serializers.Field]:
    return {
        "total": serializers.IntegerField(help_text="Exact up to 10,000, where counting stops."),
        "pages": serializers.IntegerField(),
        "total_is_capped": serializers.BooleanField(required=False, help_text="Sent as true when there are more."),
    }
