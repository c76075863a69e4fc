"""The HTML door of qualifications: the kinds there are, and those of one person."""

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import Http404
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.guards import requires
from accounts.permissions import Permission
from accounts.users.models import Membership
from tenancy.doors.text import forbidden_character
from tenancy.rules import NotAllowed, RuleBroken

from . import presenting, selectors, services
from .forms import KindForm, QualificationForm, WithdrawForm


@requires(Permission.QUALIFICATION_MANAGE)
def kinds(request):
    """Every kind with how many hold it today, and the people of the clinic; a POST adds a kind."""
    form = KindForm(request.POST or None)
    if (
        request.method == "POST"
        and form.is_valid()
        and _tried(form, services.create_kind, by=request.member, **form.cleaned_data)
    ):
        messages.success(request, _("%(name)s is on the list.") % {"name": form.cleaned_data["name"]})
        return redirect("qualifications:kinds")
    people = Membership.objects.active().select_related("user").order_by("user__name", "id")
    context = {
        "form": form,
        "kinds": selectors.list_kinds(timezone.localdate()),
        "people": [member for member in people if member.pk != request.member.pk],
    }
    return render(request, "qualifications/kinds.html", context, status=_status(request))


@requires(Permission.QUALIFICATION_MANAGE)
def person(request, member_id):
    """What one person holds and held; a POST records another."""
    member = _member(member_id)
    form = QualificationForm(request.POST or None, initial={"valid_from": timezone.localdate()})
    if _sent(request, form) and _tried(
        form, services.record_qualification, member, by=request.member, **form.cleaned_data
    ):
        messages.success(request, _("Recorded."))
        return redirect("qualifications:person", member.pk)
    context = {
        "member": member,
        "links": [(reverse("qualifications:kinds"), _("Qualifications"))],
        "is_oneself": member.pk == request.member.pk,
        "rows": presenting.qualification_rows(selectors.list_qualifications(member)),
        "form": form,
    }
    return render(request, "qualifications/person.html", context, status=_status(request))


@requires(Permission.QUALIFICATION_MANAGE)
def withdraw(request, member_id, qualification_id):
    """Take a qualification back, with a reason."""
    member = _member(member_id)
    row = member.qualifications.select_related("kind").filter(pk=qualification_id).first()
    if row is None:
        raise Http404
    form = WithdrawForm(request.POST or None)
    if _sent(request, form) and _tried(
        form, services.withdraw_qualification, row, by=request.member, reason=form.cleaned_data["reason"]
    ):
        messages.success(request, _("Taken back."))
        return redirect("qualifications:person", member.pk)
    return render(
        request, "qualifications/withdraw.html", {"member": member, "row": row, "form": form}, status=_status(request)
    )


def _member(member_id):
    found = Membership.objects.select_related("user").filter(pk=member_id).first()
    if found is None:
        raise Http404
    return found


def _sent(request, form):
    return request.method == "POST" and form.is_valid()


def _status(request):
    return 422 if request.method == "POST" else 200


def _tried(form, service, *args, **kwargs):
    if any(isinstance(text, str) and forbidden_character(text) for text in form.cleaned_data.values()):
        form.add_error(None, _("The text contains a character which can not be kept."))
        return False
    try:
        service(*args, **kwargs)
    except (RuleBroken, NotAllowed) as refused:
        form.add_error(None, refused.sentence)
    except ValidationError as refused:
        form.add_error(None, refused.messages)
    else:
        return True
    return False
