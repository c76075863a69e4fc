from django.db import migrations

from clinic.patients.lookups import fill_lookups


class Migration(migrations.Migration):
    dependencies = [("patients", "0002_row_security")]

    operations = [migrations.RunPython(fill_lookups, migrations.RunPython.noop)]
