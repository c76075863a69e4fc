"""The gallery of components and a few invented pages made of them alone, for people who build pages."""

import re
from pathlib import Path

from django.conf import settings
from django.http import Http404
from django.shortcuts import render
from django.views.decorators.http import require_safe

from accounts.guards import public
from accounts.permissions import Permission

from . import samples

SAMPLE_PAGES = ["list", "chart", "form", "history", "empty"]

# Pieces of the frame itself; every page shows them.
# What only the frame or a form uses, and what has to be met to be seen.
FRAME_PARTS = {
    *{"form", "help", "language_switch", "member_menu", "messages", "session_watch", "visit_line"},
    *{"draft_line", "draft_notice"},
}


@public("The gallery shows invented people only, and only in debug, in a demonstration, or to administrators.")
@require_safe
def gallery(request):
    _refuse_outsiders(request)
    return render(
        request,
        "look/gallery.html",
        {"components": list_components(), "sample_pages": SAMPLE_PAGES, **samples.build_samples()},
    )


@public("Invented people only, as in the gallery.")
@require_safe
def sample_page(request, name):
    _refuse_outsiders(request)
    if name not in SAMPLE_PAGES:
        raise Http404
    shown = samples.build_samples(request.GET.get("q", ""))
    return render(request, "look/_people.html" if request.htmx else f"look/page_{name}.html", shown)


def _refuse_outsiders(request):
    if not (settings.DEBUG or settings.DEMO or (request.member and request.member.may(Permission.ADMIN_SITE))):
        raise Http404


def list_components() -> list[dict]:
    """Every component that has a sample: its name, what its first comment says, and the template of the sample."""
    folder = Path(settings.BASE_DIR) / "templates" / "components"
    return [
        {"name": file.stem, "about": _about(file.read_text()), "sample": f"look/samples/{file.stem}.html"}
        for file in sorted(folder.glob("*.html"))
        if file.stem not in FRAME_PARTS
    ]


def _about(source: str) -> str:
    found = re.match(r"\{#(.*?)#\}|\{% comment %\}(.*?)\{% endcomment %\}", source, re.DOTALL)
    return " ".join((found[1] or found[2]).split()) if found else ""
