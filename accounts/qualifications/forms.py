"""What the pages about qualifications send. Forms check shape; they never save."""

from django import forms
from django.utils.translation import gettext_lazy as _

from tenancy.doors.late_choices import late_choices

from .models import Qualification, QualificationKind


class KindForm(forms.ModelForm):
    class Meta:
        model = QualificationKind
        fields = ["name", "group"]

    def _post_clean(self):
        """The service checks the row."""


class QualificationForm(forms.ModelForm):
    """A licence, privilege or training with its days."""

    # Declared, because the model's own field would ask for a queryset while this module is read, outside any clinic.
    kind = forms.ModelChoiceField(queryset=None, label=_("Kind"))
    field_order = ["kind"]

    class Meta:
        model = Qualification
        formfield_callback = late_choices
        fields = ["number", "issuer", "valid_from", "valid_until"]
        widgets = {name: forms.DateInput({"type": "date"}, format="%Y-%m-%d") for name in ("valid_from", "valid_until")}
        help_texts = {"valid_until": _("The last day; empty: no end.")}

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.fields["kind"].queryset = QualificationKind.objects.filter(is_active=True).order_by("name", "id")

    def _post_clean(self):
        """The service checks the row."""


class WithdrawForm(forms.Form):
    mark_required = False
    reason = forms.CharField(label=_("Reason"), max_length=300, widget=forms.Textarea({"rows": 2}))
