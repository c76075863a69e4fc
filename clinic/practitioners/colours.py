"""The colours of columns in the book: a number in the table, a word on the page, because colour alone says nothing."""

from django.utils.translation import gettext_lazy as _

COLOURS = [
    (1, _("Teal")),
    (2, _("Blue")),
    (3, _("Violet")),
    (4, _("Pink")),
    (5, _("Red")),
    (6, _("Orange")),
    (7, _("Amber")),
    (8, _("Lime")),
    (9, _("Green")),
    (10, _("Cyan")),
    (11, _("Brown")),
    (12, _("Grey")),
]


def colour_word(number: int) -> str:
    """ "Teal"; a number nobody has named is said as it is."""
    return str(dict(COLOURS).get(number, number))
