"""What a browser sends when somebody presses the button of a form and has changed nothing."""

from html.parser import HTMLParser


def sent_by(page: str, *, holding: str) -> dict[str, list[str]]:
    """The data of the form that has a control named `holding`, as a browser without script would post it."""
    reader = _Forms()
    reader.feed(page)
    (found,) = [form for form in reader.forms if holding in form.names]
    return found.data


class _Form:
    def __init__(self):
        self.names, self.data = set(), {}

    def add(self, name, value):
        # A browser ends every line of a text with both characters.
        self.data.setdefault(name, []).append(value.replace("\r\n", "\n").replace("\n", "\r\n"))


class _Forms(HTMLParser):
    def __init__(self):
        super().__init__()
        self.forms, self.select, self.text = [], None, None

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        name = attrs.get("name")
        if tag == "form":
            self.forms.append(_Form())
        elif tag == "option" and self.select:
            self.select[1].append((attrs.get("value", ""), "selected" in attrs))
        elif name and self.forms:
            self.forms[-1].names.add(name)
            self._control(tag, name, attrs)

    def _control(self, tag, name, attrs):
        if tag == "select":
            self.select = (name, [])
        elif tag == "textarea":
            self.text = [name, ""]
        elif tag == "input" and (attrs.get("type") not in {"checkbox", "radio"} or "checked" in attrs):
            self.forms[-1].add(name, attrs.get("value") or ("on" if attrs.get("type") == "checkbox" else ""))

    def handle_data(self, data):
        if self.text:
            self.text[1] += data

    def handle_endtag(self, tag):
        if tag == "select" and self.select:
            name, options = self.select
            self.forms[-1].add(name, next((value for value, chosen in options if chosen), options[0][0]))
            self.select = None
        elif tag == "textarea" and self.text:
            # One line break after the tag is not part of the text (HTML 13.1.2.5).
            self.forms[-1].add(self.text[0], self.text[1].removeprefix("\r").removeprefix("\n"))
            self.text = None
