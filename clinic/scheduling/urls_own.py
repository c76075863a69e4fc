"""What patients do about their own visits, under /my/visits/."""

from django.urls import path

from . import own_pages as pages

app_name = "own_visits"
urlpatterns = [
    path("", pages.visit_list, name="list"),
    path("book/", pages.kinds, name="kinds"),
    path("book/<uuid:type_id>/", pages.times, name="times"),
    path("book/<uuid:type_id>/ask/", pages.ask, name="ask"),
    path("calendar/", pages.calendar, name="calendar"),
    path("calendar/<uuid:feed_id>/revoke/", pages.revoke_feed, name="revoke_feed"),
    path("calendar/<uuid:feed_id>/replace/", pages.replace_feed, name="replace_feed"),
    path("<uuid:visit_id>/", pages.visit_detail, name="visit"),
    path("<uuid:visit_id>/appointment.ics", pages.visit_file, name="file"),
    path("<uuid:visit_id>/keep/", pages.keep, name="keep"),
    path("<uuid:visit_id>/let-go/", pages.let_go, name="let_go"),
    path("<uuid:visit_id>/offer/", pages.answer_offer, name="answer_offer"),
    path("<uuid:visit_id>/cancel/", pages.cancel, name="cancel"),
    path("<uuid:visit_id>/move/", pages.move, name="move"),
]
