"""Every permission can be said aloud, and stands under one heading."""

from accounts.permission_words import WORDS, conflict_sentence, sections, words_for
from accounts.permissions import CONFLICTS, QUALITY_CODES, Permission


def test_k46_every_permission_has_words_of_its_own():
    assert len(QUALITY_CODES) >= 94
    assert set(WORDS) == set(Permission)
    assert len({str(words) for words in WORDS.values()}) == len(WORDS)


def test_every_permission_stands_under_exactly_one_heading():
    listed = [permission for _title, permissions in sections() for permission in permissions]

    assert sorted(listed) == sorted(Permission)


def test_a_conflict_is_said_in_words():
    sentence = conflict_sentence(CONFLICTS[0], "Ada Admin")

    assert sentence.startswith("Ada Admin would hold two permissions")
    assert all(words_for(code) in sentence for code in CONFLICTS[0])
    assert words_for("rooms.unknown") == "rooms.unknown"
