from django.db import migrations

from accounts.permissions import DEFAULT_ROLES, PLATFORM_PERMISSIONS, PLATFORM_ROLE
from tenancy.tenants.models import new_id
from tenancy.tenants.operations import EnableRowLevelSecurity


def bring_built_in_roles(apps, schema_editor):
    """As `users.services.bring_built_in_roles`, for the clinics there are: numbers, new permissions, the new role."""
    Role, Counter = apps.get_model("users", "Role"), apps.get_model("tenants", "Counter")
    built_in = DEFAULT_ROLES | {PLATFORM_ROLE: ("Platform administrator", PLATFORM_PERMISSIONS)}
    wanted = {code: sorted(str(permission) for permission in held) for code, (_name, held) in built_in.items()}
    for tenant in apps.get_model("tenants", "Tenant").objects.all():
        with schema_editor.connection.cursor() as cursor:
            cursor.execute("SELECT set_config('app.tenant_id', %s, true)", [str(tenant.pk)])
        known = list(Role._base_manager.order_by("id"))
        missing = wanted.keys() - {role.code for role in known}
        known += [
            Role(id=new_id(), tenant=tenant, code=code, name=str(built_in[code][0]), is_built_in=True)
            for code in wanted
            if code in missing
        ]
        for number, role in enumerate(known, start=1):
            role.number = number
            role.permissions = wanted.get(role.code, role.permissions) if role.is_built_in else role.permissions
            role.save()
        Counter._base_manager.update_or_create(
            tenant=tenant,
            name="role",
            defaults={"value": len(known)},
            create_defaults={"id": new_id(), "value": len(known)},
        )
    with schema_editor.connection.cursor() as cursor:
        cursor.execute("SELECT set_config('app.tenant_id', '', true)")


class Migration(migrations.Migration):
    dependencies = [("users", "0004_people_groups_grants"), ("tenants", "0003_sign_in_policy")]

    operations = [
        EnableRowLevelSecurity("Grant"),
        EnableRowLevelSecurity("Group"),
        EnableRowLevelSecurity("GroupMember"),
        migrations.RunPython(bring_built_in_roles, migrations.RunPython.noop),
    ]
