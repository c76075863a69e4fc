from types import SimpleNamespace

import pytest
from django.test import RequestFactory

from tenancy.doors.etags import check_if_match, etag_for, not_modified
from tenancy.doors.refusals import FieldsRefused, PreconditionRequired
from tenancy.rules import StaleVersion


def request(**headers):
    return RequestFactory().get("/", headers=headers)


def test_etag_for_a_version_and_for_a_row():
    assert etag_for(3) == '"3"'
    assert etag_for(SimpleNamespace(version=3)) == '"3"'


@pytest.mark.parametrize("sent", ['"3"', 'W/"3"', "*", '"1", "3"', ' "1" ,W/"2",W/"3" ', '"3","3"'])
def test_check_if_match_lets_the_current_version_pass(sent):
    check_if_match(request(if_match=sent), 3)


@pytest.mark.parametrize("sent", ['"2"', 'W/"2"', '"1", "2"', '"33"', '""'])
def test_check_if_match_refuses_any_other_version(sent):
    with pytest.raises(StaleVersion):
        check_if_match(request(if_match=sent), 3)


@pytest.mark.parametrize("sent", ["3", '"3', "", '"3" "4"', '"3",', "w/3", '"' + "x" * 5000 + '"', '"a", ' * 10_000])
def test_check_if_match_refuses_a_header_that_is_no_list_of_etags(sent):
    with pytest.raises(FieldsRefused) as caught:
        check_if_match(request(if_match=sent), 3)

    assert caught.value.problems[0]["loc"] == ["header", "If-Match"]


def test_check_if_match_without_the_header_checks_nothing():
    check_if_match(request(), 3)


def test_check_if_match_can_demand_the_header():
    with pytest.raises(PreconditionRequired):
        check_if_match(request(), 3, required=True)


@pytest.mark.parametrize("sent", ['"3"', 'W/"3"', "*", '"1", "3"'])
def test_not_modified_answers_304_for_the_version_already_read(sent):
    answer = not_modified(request(if_none_match=sent), 3)

    assert (answer.status_code, answer["ETag"], answer.content) == (304, '"3"', b"")


def test_not_modified_is_none_for_other_versions():
    assert not_modified(request(if_none_match='"2"'), 3) is None
    assert not_modified(request(), 3) is None
