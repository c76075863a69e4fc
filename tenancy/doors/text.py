"""Characters that no text in Carewright may hold, whichever door it comes through.

NUL breaks PostgreSQL, other control characters break logs, letters and CSV
files, and the two bidirectional overrides let a name show as another one.
Newline, tab and carriage return stay; so do the marks that Arabic and Hebrew
text really needs (LRM, RLM, embeddings, isolates), zero-width joiners and
combining characters.
"""

import re

FORBIDDEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\u202d\u202e\ud800-\udfff]")


def forbidden_character(text: str) -> str | None:
    """The first forbidden character as `U+0000`, or None when the text is fine."""
    found = FORBIDDEN.search(text)
    return f"U+{ord(found[0]):04X}" if found else None
