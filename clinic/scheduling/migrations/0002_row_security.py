from django.db import migrations

from tenancy.tenants.operations import EnableRowLevelSecurity, RefuseChanges

TABLES = (
    *("AppointmentType", "TypePerformer", "TypeNeed", "WorkingHours", "ExtraHours", "Leave", "Series"),
    *("Appointment", "AppointmentResource", "AppointmentChange"),
)


class Migration(migrations.Migration):
    dependencies = [("scheduling", "0001_initial")]

    operations = [*[EnableRowLevelSecurity(name) for name in TABLES], RefuseChanges("AppointmentChange")]
