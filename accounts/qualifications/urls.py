from django.urls import path

from . import pages

app_name = "qualifications"
urlpatterns = [
    path("people/qualifications/", pages.kinds, name="kinds"),
    path("people/<uuid:member_id>/qualifications/", pages.person, name="person"),
    path("people/<uuid:member_id>/qualifications/<uuid:qualification_id>/withdraw/", pages.withdraw, name="withdraw"),
]
