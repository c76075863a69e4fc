"""Drawings that stand beside words, for templates and for what is drawn without one."""

from functools import lru_cache

from django.utils.safestring import SafeString
from lucide.templatetags.lucide import lucide


@lru_cache(maxsize=512)
def draw_icon(name: str, size: int = 20) -> SafeString:
    """A lucide drawing, silent to screen readers: the word beside it carries the meaning."""
    return lucide(name, size=size, aria_hidden="true", focusable="false", **{"class": "icon"})
