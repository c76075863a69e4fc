"""The page somebody meets instead of a restricted chart."""

from urllib.parse import urlencode

from django.contrib import messages
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext as _

from .selectors import ChartRestricted


class RestrictedChartMiddleware:
    """Leads whoever may not open a chart to its break-glass page, from every page and the admin. The API says 403."""

    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        return self.get_response(request)

    def process_exception(self, request, exception):
        """What was asked for comes back after the glass is broken; what was sent is said not to be saved."""
        if not isinstance(exception, ChartRestricted):
            return None
        address = reverse("patients:break_glass", args=[exception.patient_id])
        if request.method in ("GET", "HEAD"):
            return redirect(f"{address}?{urlencode({'next': request.get_full_path()})}")
        messages.error(request, _("Nothing was saved: this chart is restricted."))
        return redirect(address)
