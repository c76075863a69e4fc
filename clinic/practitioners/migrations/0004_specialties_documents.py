import django.core.validators
import django.db.models.deletion
from django.db import migrations, models

import tenancy.tenants.constraints
import tenancy.tenants.context
import tenancy.tenants.fields
import tenancy.tenants.models


class Migration(migrations.Migration):
    dependencies = [
        ("patients", "0004_history_is_always_on"),
        ("practitioners", "0003_admin_lists"),
        ("tenants", "0003_sign_in_policy"),
        ("users", "0005_row_security_and_built_in_roles"),
    ]

    operations = [
        migrations.AddField(
            model_name="practitioner",
            name="colour",
            field=models.PositiveSmallIntegerField(
                default=1,
                validators=[django.core.validators.MinValueValidator(1), django.core.validators.MaxValueValidator(12)],
                verbose_name="colour",
            ),
        ),
        migrations.AddField(
            model_name="practitioner",
            name="document_key",
            field=models.CharField(blank=True, db_collation="C", editable=False, max_length=50),
        ),
        migrations.AddField(
            model_name="practitioner",
            name="document_number",
            field=models.CharField(blank=True, max_length=50, verbose_name="document number"),
        ),
        migrations.AddField(
            model_name="practitioner",
            name="document_type",
            field=models.ForeignKey(
                blank=True,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="patients.documenttype",
                verbose_name="document type",
            ),
        ),
        migrations.CreateModel(
            name="Specialty",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=tenancy.tenants.models.new_id, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("name", models.CharField(max_length=120, verbose_name="name")),
                ("name_key", models.CharField(editable=False, max_length=240)),
                ("description", models.CharField(blank=True, max_length=500, verbose_name="description")),
                ("is_active", models.BooleanField(default=True, verbose_name="active")),
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
                "verbose_name": "specialty",
                "verbose_name_plural": "specialties",
            },
        ),
        migrations.CreateModel(
            name="PractitionerSpecialty",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=tenancy.tenants.models.new_id, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("rank", models.PositiveSmallIntegerField(default=0)),
                (
                    "practitioner",
                    tenancy.tenants.fields.TenantForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="specialties",
                        to="practitioners.practitioner",
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
                (
                    "specialty",
                    tenancy.tenants.fields.TenantForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="practitioners",
                        to="practitioners.specialty",
                    ),
                ),
            ],
        ),
        migrations.AddConstraint(
            model_name="practitioner",
            constraint=models.UniqueConstraint(
                condition=models.Q(("document_key__gt", "")),
                fields=("tenant", "document_type", "document_key"),
                name="practitioners_practitioner_document_uniq",
            ),
        ),
        migrations.AddConstraint(
            model_name="specialty",
            constraint=models.UniqueConstraint(fields=("tenant", "name_key"), name="practitioners_specialty_name_uniq"),
        ),
        migrations.AddConstraint(
            model_name="specialty",
            constraint=models.UniqueConstraint(fields=("tenant", "id"), name="practitioners_specialty_tenant_id_uniq"),
        ),
        migrations.AddConstraint(
            model_name="practitionerspecialty",
            constraint=models.UniqueConstraint(
                fields=("tenant", "practitioner", "specialty"), name="practitioners_practspecialty_uniq"
            ),
        ),
        migrations.AddConstraint(
            model_name="practitionerspecialty",
            constraint=tenancy.tenants.constraints.TenantForeignKeyConstraint(
                field="practitioner", name="practitioners_practitionerspecialty_practitioner_tenant_fk"
            ),
        ),
        migrations.AddConstraint(
            model_name="practitionerspecialty",
            constraint=tenancy.tenants.constraints.TenantForeignKeyConstraint(
                field="specialty", name="practitioners_practitionerspecialty_specialty_tenant_fk"
            ),
        ),
        migrations.AddConstraint(
            model_name="practitionerspecialty",
            constraint=models.UniqueConstraint(
                fields=("tenant", "id"), name="practitioners_practitionerspecialty_tenant_id_uniq"
            ),
        ),
    ]
