"""What a browser calls itself, in words a person knows: "Firefox on Windows"."""

import re

from django.utils.translation import gettext as _

# The first that fits: Edge and Opera call themselves Chrome, too, and Chrome calls itself Safari.
BROWSERS = [
    (r"Edg(e|A|iOS)?/", "Edge"),
    (r"OPR/|Opera", "Opera"),
    (r"SamsungBrowser/", "Samsung Internet"),
    (r"Firefox/|FxiOS/", "Firefox"),
    (r"(Headless)?Chrom(e|ium)/|CriOS/", "Chrome"),
    (r"Version/.*Safari/", "Safari"),
]
SYSTEMS = [
    (r"iPhone", "iPhone"),
    (r"iPad", "iPad"),
    (r"Android", "Android"),
    (r"CrOS", "ChromeOS"),
    (r"Windows", "Windows"),
    (r"Macintosh|Mac OS X", "macOS"),
    (r"Linux|X11", "Linux"),
]


def describe_device(name: str) -> str:
    """The User-Agent header of a sign-in as "Browser on system"; for a program its own name."""
    browser, system = _first(BROWSERS, name), _first(SYSTEMS, name)
    if browser and system:
        return _("%(browser)s on %(system)s") % {"browser": browser, "system": system}
    if browser or system:
        return browser or system
    program = re.match(r"[A-Za-z][\w .+-]{0,40}", name)
    return program.group().strip() if program else _("Unknown device")


def _first(table: list[tuple[str, str]], name: str) -> str:
    return next((word for pattern, word in table if re.search(pattern, name)), "")
