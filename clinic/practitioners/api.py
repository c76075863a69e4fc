"""The JSON door of specialties (Doctolib D8)."""

from accounts.permissions import Permission
from tenancy.doors.paging import PageQuery
from tenancy.doors.query import Boolean, NoQuery
from tenancy.doors.resources import RemovableMixin, ResourceViewSet, describe

from . import selectors, services
from .models import Specialty
from .serializers import SpecialtySerializer, WriteSpecialtySerializer


class SpecialtyQuery(PageQuery):
    """By name."""

    sorts = {"name": ("name",)}
    default_sort = "name asc"

    inactive = Boolean(default=False, description="Those no longer used, too")


@describe("a specialty", {"name": "Cardiology", "description": "Heart and circulation"})
class SpecialtyViewSet(RemovableMixin, ResourceViewSet):
    """Specialties. DELETE takes one out of use; practitioners keep theirs."""

    key = "specialties"
    queryset = Specialty.objects.none()
    serializer_class = SpecialtySerializer
    write_serializer_class = WriteSpecialtySerializer
    requires = {
        "list": Permission.OWN_PROFILE,
        "retrieve": Permission.OWN_PROFILE,
        "create": Permission.PRACTITIONER_MANAGE,
        "partial_update": Permission.PRACTITIONER_MANAGE,
        "destroy": Permission.PRACTITIONER_MANAGE,
    }
    queries = {"list": SpecialtyQuery, "retrieve": NoQuery}

    def rows(self, query):
        return selectors.list_specialties(include_inactive=query.inactive)

    def row(self, pk):
        return selectors.get_specialty(pk)

    def add(self, data):
        return services.create_specialty(by=self.request.member, **data)

    def change(self, row, data):
        return services.update_specialty(row, by=self.request.member, changes=data)

    def remove(self, row):
        services.update_specialty(row, by=self.request.member, changes={"is_active": False})
