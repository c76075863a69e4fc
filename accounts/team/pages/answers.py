"""How these pages answer a form: what a service refuses stands on it or above the page."""

from django.contrib import messages
from django.utils.translation import gettext as _

from tenancy.rules import NotAllowed, RuleBroken, StaleVersion


def status_of(request):
    """422 for a form that comes back, so that htmx and people see it was not saved."""
    return 422 if request.method == "POST" else 200


def tried(form, service, *args, **kwargs):
    """Call a service; True when it did its work, else its sentence is on the form."""
    try:
        service(*args, **kwargs)
    except StaleVersion as stale:
        form.add_error(None, _("%(sentence)s Look at it again before you save.") % {"sentence": stale.sentence})
    except (RuleBroken, NotAllowed) as refused:
        form.add_error(None, refused.sentence)
    else:
        return True
    return False


def attempt(request, done, service, *args, **kwargs):
    """Call a service from a single button; says `done` or why not above the next page."""
    try:
        service(*args, **kwargs)
    except (RuleBroken, NotAllowed) as refused:
        messages.error(request, refused.sentence)
    else:
        messages.success(request, done)
