"""What the pages about practitioners send. Forms check shape; they never save."""

from django import forms
from django.utils.translation import gettext_lazy as _

from accounts.team.forms import PlainText
from accounts.users.models import Membership
from clinic.patients.models import DocumentType
from tenancy.doors.late_choices import late_choices

from .colours import COLOURS
from .models import Practitioner
from .selectors import list_specialties


class MemberChoice(forms.ModelChoiceField):
    def label_from_instance(self, member):
        return member.display_name


class PractitionerForm(PlainText, forms.ModelForm):
    """Who treats patients: name, document, how to reach them, colour, specialties, and the member they sign in as."""

    member = MemberChoice(
        label=_("Signs in as"),
        queryset=None,
        required=False,
        empty_label=_("Nobody: works without an account"),
        help_text=_("The member may then change their own hours and leave."),
    )
    document_type = forms.ModelChoiceField(
        label=_("Document type"), queryset=DocumentType.objects.order_by("name"), required=False
    )
    colour = forms.TypedChoiceField(label=_("Colour in the book"), choices=COLOURS, coerce=int)
    specialties = forms.ModelMultipleChoiceField(
        label=_("Specialties"), queryset=None, required=False, widget=forms.CheckboxSelectMultiple
    )
    new_specialty = forms.CharField(
        label=_("Another specialty"), max_length=120, required=False, help_text=_("One that is not on the list yet.")
    )

    class Meta:
        model = Practitioner
        formfield_callback = late_choices
        fields = [
            "title", "first_name", "second_name", "first_last_name", "second_last_name", "member", "colour",
            "phone", "email", "document_type", "document_number", "identifier_system", "identifier", "is_active",
        ]  # fmt: skip
        help_texts = {"is_active": _("Who is not active any more can not be booked; what was stays.")}

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.fields["member"].queryset = Membership.objects.active().select_related("user").order_by("user__name", "id")
        self.fields["specialties"].queryset = list_specialties()
        if self.instance._state.adding:
            del self.fields["is_active"]
        else:
            ranked = self.instance.specialties.order_by("rank").values_list("specialty", flat=True)
            self.fields["specialties"].initial = list(ranked)

    def _post_clean(self):
        """The service checks the row; the form only carries what was typed."""

    def clean(self):
        data = super().clean()
        if not (data.get("first_name") or data.get("first_last_name")):
            self.add_error("first_last_name", _("Give a name."))
        if bool(data.get("document_number")) and not data.get("document_type"):
            self.add_error("document_type", _("Say which document it is."))
        return data

    def row_data(self):
        """By field of Practitioner."""
        return {name: self.cleaned_data[name] for name in self._meta.fields if name in self.cleaned_data}
