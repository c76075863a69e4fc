from django.urls import path

from . import pages

app_name = "look"
urlpatterns = [
    path("", pages.gallery, name="gallery"),
    path("sample/<slug:name>/", pages.sample_page, name="sample"),
]
