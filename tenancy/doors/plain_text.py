"""Forms that refuse what no text may hold."""

from django import forms
from django.utils.translation import gettext_lazy as _

from .text import forbidden_character


class PlainText:
    """Refuses characters that no text may hold, beside the field they are in; a password may hold what it likes."""

    def clean(self):
        data = super().clean() or self.cleaned_data
        for name, value in list(data.items()):
            is_secret = isinstance(self.fields[name].widget, forms.PasswordInput)
            if isinstance(value, str) and not is_secret and (character := forbidden_character(value)):
                sentence = _("The text contains the character %(character)s, which can not be kept.")
                self.add_error(name, forms.ValidationError(sentence, params={"character": character}))
        return data
