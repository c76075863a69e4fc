import django.db.models.deletion
import django.utils.timezone
from django.db import migrations, models

import tenancy.tenants.constraints
import tenancy.tenants.context
import tenancy.tenants.fields
import tenancy.tenants.models


class Migration(migrations.Migration):
    dependencies = [
        ("tenants", "0003_sign_in_policy"),
        ("users", "0003_session_rotation"),
    ]

    operations = [
        migrations.AddField(
            model_name="membership",
            name="ends_at",
            field=models.DateTimeField(blank=True, null=True, verbose_name="until"),
        ),
        migrations.AddField(
            model_name="membership",
            name="is_platform",
            field=models.BooleanField(default=False, editable=False, verbose_name="works here for the platform"),
        ),
        migrations.AddField(
            model_name="membership",
            name="specialties",
            field=models.JSONField(blank=True, default=list, verbose_name="specialties"),
        ),
        migrations.AddField(
            model_name="role",
            name="description",
            field=models.CharField(blank=True, max_length=300, verbose_name="description"),
        ),
        migrations.AddField(
            model_name="role",
            name="number",
            field=models.PositiveIntegerField(editable=False, null=True),
        ),
        migrations.AddField(
            model_name="session",
            name="second_factor",
            field=models.CharField(
                blank=True,
                choices=[
                    ("", "Password only"),
                    ("totp", "Authenticator code"),
                    ("recovery", "Recovery code"),
                    ("passkey", "Passkey"),
                ],
                max_length=10,
                verbose_name="second factor",
            ),
        ),
        migrations.AddField(
            model_name="session",
            name="valid_from",
            field=models.DateTimeField(default=django.utils.timezone.now, editable=False),
        ),
        migrations.AddField(
            model_name="user",
            name="email_confirmed_at",
            field=models.DateTimeField(editable=False, null=True),
        ),
        migrations.AddField(
            model_name="user",
            name="failed_sign_ins",
            field=models.PositiveIntegerField(default=0, editable=False, help_text="in a row"),
        ),
        migrations.AddField(
            model_name="user",
            name="has_second_factor",
            field=models.BooleanField(default=False, editable=False, verbose_name="has a second factor"),
        ),
        migrations.AddField(
            model_name="user",
            name="link_version",
            field=models.PositiveIntegerField(
                default=0, editable=False, help_text="raised to make every link sent by mail worthless"
            ),
        ),
        migrations.AddField(
            model_name="user",
            name="pending_email",
            field=models.EmailField(blank=True, editable=False, max_length=254),
        ),
        migrations.AddField(
            model_name="user",
            name="second_factor_reset_at",
            field=models.DateTimeField(editable=False, null=True),
        ),
        migrations.AddField(
            model_name="user",
            name="signed_out_before",
            field=models.DateTimeField(
                editable=False, help_text="sessions opened before this moment are over, in every clinic", null=True
            ),
        ),
        migrations.CreateModel(
            name="Grant",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=tenancy.tenants.models.new_id, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("permission", models.CharField(max_length=60, verbose_name="permission")),
                ("is_denial", models.BooleanField(default=False, verbose_name="denied")),
                ("reason", models.CharField(max_length=300, verbose_name="reason")),
                ("valid_from", models.DateTimeField(default=django.utils.timezone.now, verbose_name="from")),
                ("valid_until", models.DateTimeField(blank=True, null=True, verbose_name="until")),
                ("created_at", models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                ("ended_at", models.DateTimeField(editable=False, null=True)),
                (
                    "ended_by",
                    tenancy.tenants.fields.TenantForeignKey(
                        db_index=False,
                        editable=False,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="users.membership",
                    ),
                ),
                (
                    "granted_by",
                    tenancy.tenants.fields.TenantForeignKey(
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="users.membership",
                    ),
                ),
                (
                    "membership",
                    tenancy.tenants.fields.TenantForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="grants",
                        to="users.membership",
                    ),
                ),
                (
                    "tenant",
                    tenancy.tenants.fields.TenantField(
                        db_index=False,
                        default=tenancy.tenants.context.current_tenant_id,
                        editable=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="tenants.tenant",
                    ),
                ),
            ],
            options={
                "verbose_name": "single permission",
                "verbose_name_plural": "single permissions",
            },
        ),
        migrations.CreateModel(
            name="Group",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=tenancy.tenants.models.new_id, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("number", models.PositiveIntegerField(editable=False)),
                ("name", models.CharField(max_length=120, verbose_name="name")),
                ("name_key", models.CharField(editable=False, max_length=240)),
                ("description", models.CharField(blank=True, max_length=500, verbose_name="description")),
                ("kind", models.CharField(blank=True, max_length=60, verbose_name="type")),
                ("permissions", models.JSONField(blank=True, default=list, verbose_name="permissions")),
                ("is_active", models.BooleanField(default=True, verbose_name="active")),
                ("version", models.IntegerField(default=1, editable=False)),
                ("created_at", models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                (
                    "tenant",
                    tenancy.tenants.fields.TenantField(
                        db_index=False,
                        default=tenancy.tenants.context.current_tenant_id,
                        editable=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="tenants.tenant",
                    ),
                ),
            ],
            options={
                "verbose_name": "group",
                "verbose_name_plural": "groups",
            },
        ),
        migrations.CreateModel(
            name="GroupMember",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=tenancy.tenants.models.new_id, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("joined_at", models.DateTimeField(default=django.utils.timezone.now, verbose_name="since")),
                ("ended_at", models.DateTimeField(null=True, verbose_name="until")),
                (
                    "added_by",
                    tenancy.tenants.fields.TenantForeignKey(
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="users.membership",
                    ),
                ),
                (
                    "ended_by",
                    tenancy.tenants.fields.TenantForeignKey(
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="users.membership",
                    ),
                ),
                (
                    "group",
                    tenancy.tenants.fields.TenantForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="members",
                        to="users.group",
                    ),
                ),
                (
                    "membership",
                    tenancy.tenants.fields.TenantForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="group_memberships",
                        to="users.membership",
                    ),
                ),
                (
                    "tenant",
                    tenancy.tenants.fields.TenantField(
                        db_index=False,
                        default=tenancy.tenants.context.current_tenant_id,
                        editable=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="tenants.tenant",
                    ),
                ),
            ],
        ),
        migrations.AddConstraint(
            model_name="role",
            constraint=models.UniqueConstraint(fields=("tenant", "number"), name="users_role_number_uniq"),
        ),
        migrations.AddIndex(
            model_name="grant",
            index=models.Index(fields=["tenant", "membership"], name="users_grant_member_idx"),
        ),
        migrations.AddConstraint(
            model_name="grant",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("valid_until__isnull", True), ("valid_until__gt", models.F("valid_from")), _connector="OR"
                ),
                name="users_grant_dates_chk",
            ),
        ),
        migrations.AddConstraint(
            model_name="grant",
            constraint=tenancy.tenants.constraints.TenantForeignKeyConstraint(
                field="membership", name="users_grant_membership_tenant_fk"
            ),
        ),
        migrations.AddConstraint(
            model_name="grant",
            constraint=tenancy.tenants.constraints.TenantForeignKeyConstraint(
                field="granted_by", name="users_grant_granted_by_tenant_fk"
            ),
        ),
        migrations.AddConstraint(
            model_name="grant",
            constraint=tenancy.tenants.constraints.TenantForeignKeyConstraint(
                field="ended_by", name="users_grant_ended_by_tenant_fk"
            ),
        ),
        migrations.AddConstraint(
            model_name="grant",
            constraint=models.UniqueConstraint(fields=("tenant", "id"), name="users_grant_tenant_id_uniq"),
        ),
        migrations.AddConstraint(
            model_name="group",
            constraint=models.UniqueConstraint(fields=("tenant", "number"), name="users_group_number_uniq"),
        ),
        migrations.AddConstraint(
            model_name="group",
            constraint=models.UniqueConstraint(
                condition=models.Q(("is_active", True)), fields=("tenant", "name_key"), name="users_group_name_uniq"
            ),
        ),
        migrations.AddConstraint(
            model_name="group",
            constraint=models.UniqueConstraint(fields=("tenant", "id"), name="users_group_tenant_id_uniq"),
        ),
        migrations.AddIndex(
            model_name="groupmember",
            index=models.Index(fields=["tenant", "membership"], name="users_groupmember_member_idx"),
        ),
        migrations.AddConstraint(
            model_name="groupmember",
            constraint=models.UniqueConstraint(
                condition=models.Q(("ended_at__isnull", True)),
                fields=("tenant", "group", "membership"),
                name="users_groupmember_live_uniq",
            ),
        ),
        migrations.AddConstraint(
            model_name="groupmember",
            constraint=tenancy.tenants.constraints.TenantForeignKeyConstraint(
                field="group", name="users_groupmember_group_tenant_fk"
            ),
        ),
        migrations.AddConstraint(
            model_name="groupmember",
            constraint=tenancy.tenants.constraints.TenantForeignKeyConstraint(
                field="membership", name="users_groupmember_membership_tenant_fk"
            ),
        ),
        migrations.AddConstraint(
            model_name="groupmember",
            constraint=tenancy.tenants.constraints.TenantForeignKeyConstraint(
                field="added_by", name="users_groupmember_added_by_tenant_fk"
            ),
        ),
        migrations.AddConstraint(
            model_name="groupmember",
            constraint=tenancy.tenants.constraints.TenantForeignKeyConstraint(
                field="ended_by", name="users_groupmember_ended_by_tenant_fk"
            ),
        ),
        migrations.AddConstraint(
            model_name="groupmember",
            constraint=models.UniqueConstraint(fields=("tenant", "id"), name="users_groupmember_tenant_id_uniq"),
        ),
    ]
