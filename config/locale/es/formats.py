"""Numbers as Colombia writes them. Django's Spanish parts thousands by a space, as Spain does."""

DECIMAL_SEPARATOR = ","
THOUSAND_SEPARATOR = "."
