import pytest
from rest_framework import serializers

from tenancy.doors.payloads import LookupField, OneWord, PayloadSerializer, WordField, snake_case, words_of_list


class ColourField(LookupField):
    refusal = "No colour %(given)s"
    known = words_of_list([(1, "RED", "r"), (2, "BLUE", "b")])

    def find(self, key):
        return self.known.get(key)


class Thing(PayloadSerializer):
    also = {"startsAt": ("begin",)}

    eventType = OneWord("THING")
    firstName = serializers.CharField(source="first_name", max_length=5)
    startsAt = serializers.IntegerField(source="starts_at", required=False)
    colour = ColourField(required=False)


def read(body):
    thing = Thing(data=body)
    thing.is_valid(raise_exception=True)
    return thing.values


def refused(body):
    thing = Thing(data=body)
    assert not thing.is_valid()
    return {name: str(errors[0]) for name, errors in thing.errors.items()}


@pytest.mark.parametrize(
    ("name", "snake"),
    [("firstName", "first_name"), ("email", "email"), ("patientDocumentTypeId", "patient_document_type_id")],
)  # fmt: skip
def test_snake_case(name, snake):
    assert snake_case(name) == snake


@pytest.mark.parametrize(
    "body",
    [
        {"firstName": "Ana", "startsAt": 1},
        {"first_name": "Ana", "starts_at": 1, "eventType": "THING"},
        {"firstName": "Ana", "first_name": "Ana", "begin": 1, "startsAt": 1, "event_type": "THING"},
    ],
)
def test_every_spelling_is_the_same_value_and_the_envelope_is_none(body):
    assert read(body) == {"first_name": "Ana", "starts_at": 1}


@pytest.mark.parametrize(
    ("body", "problems"),
    [
        ({"firstName": "Ana", "first_name": "Eva"}, {"first_name": "firstName and first_name say different things."}),
        ({"first_name": "Ana", "begin": 1, "startsAt": "1"}, {"startsAt": "begin and startsAt say different things."}),
        ({"firstName": "Ana", "nick": 1, "x": 2}, {"nick": "There is no such field.", "x": "There is no such field."}),
        ({"first_name": "Annabel"}, {"first_name": "Ensure this field has no more than 5 characters."}),
        ({}, {"firstName": "This field is required."}),
        ({"starts_at": 1}, {"first_name": "This field is required."}),
        ({"firstName": "Ana", "eventType": "OTHER"}, {"eventType": '"OTHER" is not a valid choice.'}),
        ({"firstName": "Ana", "colour": "Red"}, {"colour": "No colour Red"}),
        ({"firstName": "Ana", "colour": True}, {"colour": "No colour True"}),
        ({"firstName": "Ana", "colour": 1.0}, {"colour": "No colour ?"}),
        ({"firstName": "Ana", "colour": {}}, {"colour": "No colour ?"}),
        ({"firstName": "Ana", "colour": "9" * 5000}, {"colour": "No colour " + "9" * 40}),
    ],
)  # fmt: skip
def test_problems_are_named_as_they_were_sent(body, problems):
    assert refused(body) == problems


@pytest.mark.parametrize("body", [None, [], "x", 1])
def test_a_body_that_is_no_object_is_refused(body):
    assert not Thing(data=body).is_valid()


@pytest.mark.parametrize("sent", [1, "1", "RED", "red"])
def test_an_entry_by_id_or_word(sent):
    assert read({"firstName": "Ana", "colour": sent})["colour"] == "r"


def test_a_word_field_speaks_the_other_documents_words():
    field = WordField({"r": "RED", "": None})

    assert [field.to_representation(value) for value in ("r", "")] == ["RED", None]
