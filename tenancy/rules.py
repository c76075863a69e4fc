"""Refusals that are expected: a sentence for the reader, never a bug.

Services raise them, doors answer them: a page shows the sentence on the form,
the API answers with the status named here. Anything else rises to the log.
"""


class RuleBroken(Exception):
    """A rule of the house says no. The API answers 409."""

    code = "rule_broken"

    def __init__(self, sentence: str, *, code: str | None = None):
        super().__init__(sentence)
        self.sentence = sentence
        if code:
            self.code = code


class StaleVersion(RuleBroken):
    """Somebody else saved first; nothing was written. The API answers 412."""

    code = "stale_version"


class NotAllowed(Exception):
    """This person may not do this. The API answers 403."""

    code = "permission_denied"

    def __init__(self, sentence: str, *, code: str | None = None):
        super().__init__(sentence)
        self.sentence = sentence
        if code:
            self.code = code
