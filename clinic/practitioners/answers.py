"""How the pages of the book's rules answer a form: what a service refuses stands at its field or on top."""

from django.contrib import messages
from django.core.exceptions import ValidationError

from tenancy.rules import NotAllowed, RuleBroken


def status_of(request):
    """422 for a form that comes back, so that htmx and people see it was not saved."""
    return 422 if request.method == "POST" else 200


def sent(request, form):
    """Whether the form was sent and says something; else the page draws it, with what is wrong."""
    return request.method == "POST" and form.is_valid()


def tried(form, service, *args, **kwargs):
    """Call a service; its answer (or True) when it did its work, else None and its sentence is on the form."""
    try:
        return service(*args, **kwargs) or True
    except (RuleBroken, NotAllowed) as refused:
        form.add_error(None, refused.sentence)
    except ValidationError as refused:
        for name, sentences in _by_field(refused):
            form.add_error(name if name in form.fields else None, sentences)
    return None


def _by_field(refused):
    return refused.message_dict.items() if hasattr(refused, "error_dict") else [(None, refused.messages)]


def attempt(request, done, service, *args, **kwargs):
    """Call a service from a single button; says `done`, or why not, above the next page. Whether it did its work."""
    try:
        service(*args, **kwargs)
    except (RuleBroken, NotAllowed) as refused:
        messages.error(request, refused.sentence)
        return False
    messages.success(request, done)
    return True
