"""The API's description: the schema as JSON, Swagger UI to try it, and a plain page to read it.

All of it is ours to serve: Swagger UI comes from the sidecar package and
starts from a script file, and the page to read is rendered here, because the
Redoc bundle calls a font host and fails under our Content-Security-Policy.
`API_DOCS` says who sees them: `public`, `staff` (signed in and staff) or `off`.
"""

from collections.abc import Iterator
from functools import cache, wraps
from hashlib import sha256
from typing import Any

from django.conf import settings
from django.http import Http404, HttpResponse, HttpResponseNotModified
from django.shortcuts import render
from django.utils import translation
from django.utils.html import format_html, format_html_join
from django.views.decorators.http import require_safe
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.generators import SchemaGenerator

from accounts.guards import PUBLIC, named_permissions, public
from tenancy.doors.renderers import to_json
from tenancy.doors.schema import ERRORS

METHODS = ("get", "post", "put", "patch", "delete")


class CredentialScheme(OpenApiAuthenticationExtension):
    """The three credentials of decision X1; one of them is enough, and a public action needs none."""

    target_class = "accounts.users.authentication.OneCredential"
    name = ["cookie", "bearer", "api_key"]

    def get_security_definition(self, auto_schema):
        return [
            {"type": "apiKey", "in": "cookie", "name": "access_token", "description": "Set by /api/auth/login."},
            {"type": "http", "scheme": "bearer", "bearerFormat": "JWT", "description": "From /api/auth/token."},
            {"type": "apiKey", "in": "header", "name": "X-Api-Key", "description": "For servers, under /v1."},
        ]

    def get_security_requirement(self, auto_schema):
        if named_permissions(auto_schema.view) == (PUBLIC,):
            return [{}]
        if auto_schema.path.startswith("/v1/"):
            return [{"api_key": []}, {"bearer": []}]
        return [{"cookie": []}, {"bearer": []}]


def document_each_route_once(endpoints):
    """Preprocessing hook: without the slash, and of the copies under /api/v1 only `auth`, which differs there."""
    kept = {}
    for path, path_regex, method, callback in endpoints:
        path = path.rstrip("/") or "/"
        if path.startswith("/api/v1/") and not path.startswith("/api/v1/auth/"):
            continue
        if path.startswith("/v1/lookup/"):  # the same as /v1/lookups/
            continue
        if path.startswith(("/api/", "/v1/", "/fhir/")):
            kept.setdefault((path, method), (path, path_regex, method, callback))
    return list(kept.values())


def document_probes(result, generator, request, public):
    """Postprocessing hook: the health probe, which a middleware answers before any view."""
    state = {"type": "object", "required": ["status", "version"], "properties": {}}
    state["properties"] = {"status": {"enum": ["ok", "unavailable"]}, "version": {"type": "string"}}
    content = {"application/json": {"schema": state, "example": {"status": "ok", "version": "1.0.0"}}}
    result["paths"]["/api/health"] = {
        "get": {
            "operationId": "health_retrieve",
            "summary": "Ready for requests?",
            "description": "Asks PostgreSQL and Redis. Also under `/health` and `/readyz`.",
            "tags": ["health"],
            "security": [{}],
            "responses": {
                "200": {"description": "Ready.", "content": content},
                "503": {"description": "Not ready; ask again.", "content": content},
            },
        }
    }
    return result


@cache
def schema() -> dict[str, Any]:
    """The OpenAPI document in English, made once a process: routes do not change while it runs."""
    with translation.override("en"):
        return SchemaGenerator().get_schema(request=None, public=True)


@cache
def schema_for_servers() -> dict[str, Any]:
    """Only `/v1`, complete in itself, with the address of this installation: what n8n and code generators import."""
    whole = schema()
    paths = {path: methods for path, methods in whole["paths"].items() if path.startswith("/v1/")}
    parts: dict[str, dict] = {"securitySchemes": {}}
    for name in ("api_key", "bearer"):
        parts["securitySchemes"][name] = whole["components"]["securitySchemes"][name]
    wanted = list(_references(paths))
    while wanted:
        kind, name = wanted.pop().removeprefix("#/components/").split("/")
        if name not in parts.setdefault(kind, {}):
            parts[kind][name] = whole["components"][kind][name]
            wanted += _references(parts[kind][name])
    servers = [{"url": settings.PUBLIC_URL.rstrip("/")}]
    return whole | {"servers": servers, "paths": paths, "components": parts}


def _references(node: Any) -> Iterator[str]:
    """Every `$ref` in a part of the document."""
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"]
        node = list(node.values())
    if isinstance(node, list):
        for one in node:
            yield from _references(one)


@cache
def schema_bytes(*, for_servers: bool = False) -> tuple[bytes, str]:
    """A document as JSON, and its ETag."""
    with translation.override("en"):
        body = to_json(schema_for_servers() if for_servers else schema())
    return body, f'"{sha256(body).hexdigest()[:20]}"'


def for_readers(page):
    """404 where API_DOCS is off, or `staff` and nobody of the staff is asking. All of it is in English."""

    @wraps(page)
    def guarded(request, *args, **kwargs):
        member = getattr(request, "member", None)
        if settings.API_DOCS == "public" or (settings.API_DOCS == "staff" and member and member.is_staff):
            with translation.override("en"):
                answer = page(request, *args, **kwargs)
            answer.headers["Content-Language"] = "en"
            return answer
        raise Http404

    return public("What may be read is decided by the setting API_DOCS.")(guarded)


@for_readers
@require_safe
def openapi_json(request, *, for_servers=False):
    body, etag = schema_bytes(for_servers=for_servers)
    if request.headers.get("If-None-Match") == etag:
        return HttpResponseNotModified(headers={"ETag": etag})
    return HttpResponse(body, content_type="application/json", headers={"ETag": etag})


@for_readers
@require_safe
def swagger(request):
    return render(request, "docs/swagger.html", {"title": settings.SPECTACULAR_SETTINGS["TITLE"]})


@for_readers
@require_safe
def reference(request):
    """Every operation on one page: method, address, parameters, body, answers. Needs no script."""
    document = schema()
    errors = [{"status": code, "description": prose(text)} for code, (_name, text) in ERRORS.items()]
    context = {"info": document["info"], "about": prose(document["info"]["description"])}
    return render(request, "docs/reference.html", {**context, "errors": errors, "rooms": rooms_of(document)})


def prose(text: str) -> str:
    """A sentence as HTML: what stands between backticks becomes code, all of it is escaped."""
    parts = enumerate(text.split("`"))
    return format_html_join("", "{}", [(format_html("<code>{}</code>", part) if n % 2 else part,) for n, part in parts])


def rooms_of(document: dict) -> list[dict]:
    """The operations grouped by tag, as the template shows them."""
    rooms: dict[str, list[dict]] = {}
    for path, methods in document["paths"].items():
        for method in METHODS:
            if operation := methods.get(method):
                shown = _operation(document, path, method, operation)
                rooms.setdefault((operation.get("tags") or ["api"])[0], []).append(shown)
    return [{"name": name, "operations": operations} for name, operations in sorted(rooms.items())]


def _operation(document: dict, path: str, method: str, operation: dict) -> dict:
    return {
        "id": operation["operationId"],
        "method": method.upper(),
        "path": path,
        "summary": operation.get("summary", ""),
        "description": prose(operation.get("description", "")),
        "is_public": {} in operation.get("security", [{}]),
        "parameters": [_parameter(document, parameter) for parameter in operation.get("parameters", [])],
        "fields": _fields(document, _json_schema(operation.get("requestBody", {}))),
        "answers": [
            {"status": status, **_answer(document, answer)}
            for status, answer in operation["responses"].items()
            if "$ref" not in answer
        ],
        "errors": [status for status, answer in operation["responses"].items() if "$ref" in answer],
    }


def _parameter(document: dict, parameter: dict) -> dict:
    return {
        "name": parameter["name"],
        "place": parameter["in"],
        "type": type_of(document, parameter.get("schema", {})),
        "is_required": parameter.get("required", False),
        "description": prose(parameter.get("description", "")),
    }


def _answer(document: dict, answer: dict) -> dict:
    body = _json_schema(answer)
    return {"description": prose(answer.get("description", "")), "type": type_of(document, body) if body else ""}


def _json_schema(message: dict) -> dict:
    """The schema of a request or response body, {} where there is none."""
    return next(iter(message.get("content", {}).values()), {}).get("schema", {})


def _fields(document: dict, body: dict) -> list[dict]:
    found = _resolve(document, body)
    required = found.get("required", [])
    return [
        {"name": name, "type": type_of(document, field), "is_required": name in required,
         "description": prose(field.get("description", ""))}
        for name, field in found.get("properties", {}).items()
    ]  # fmt: skip


def type_of(document: dict, field: dict) -> str:
    """A schema in a few words: `string (date)`, `list of Patient`, `string or null`."""
    if "$ref" in field:
        return field["$ref"].rpartition("/")[2]
    for many in ("oneOf", "anyOf", "allOf"):
        if many in field:
            return " or ".join(type_of(document, option) for option in field[many])
    if field.get("type") == "array":
        return f"list of {type_of(document, field.get('items', {}))}"
    kinds = field.get("type", "any")
    words = " or ".join(kinds) if isinstance(kinds, list) else kinds
    return f"{words} ({field['format']})" if "format" in field else words


def _resolve(document: dict, node: dict) -> dict:
    if "$ref" not in node:
        return node
    for part in node["$ref"].removeprefix("#/").split("/"):
        document = document[part]
    return document
