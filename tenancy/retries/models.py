"""One kept answer: what a POST with an Idempotency-Key was answered, for a day.

Nothing in a row can be read without the keys of the house: caller, route and
key are a digest, the request is a keyed digest, headers and body are sealed.
"""

from django.db import models
from django.utils.translation import gettext_lazy as _

from tenancy.tenants.models import TenantModel, new_id


class KeptAnswer(models.Model):
    """What both tables have. `name` stands for caller, route and key, `fingerprint` for what was sent."""

    name = models.CharField(max_length=64, db_collation="C", editable=False)
    fingerprint = models.CharField(max_length=64, db_collation="C", editable=False)
    status = models.PositiveSmallIntegerField(_("status"), editable=False)
    sealed = models.BinaryField()
    made_at = models.DateTimeField(_("answered"), editable=False)

    class Meta:
        abstract = True


class Answer(KeptAnswer, TenantModel):
    """What a member of a clinic or one of its API keys was answered."""

    class Meta:
        verbose_name = _("kept answer")
        verbose_name_plural = _("kept answers")
        constraints = [models.UniqueConstraint(fields=["tenant", "name"], name="retries_answer_name_uniq")]
        indexes = [models.Index(fields=["tenant", "made_at"], name="retries_answer_age_idx")]

    def __str__(self):
        return self.name


class PlatformAnswer(KeptAnswer):
    """What a platform key was answered, which is in no clinic."""

    app_privileges = ("SELECT", "INSERT", "UPDATE", "DELETE")

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)

    class Meta:
        verbose_name = _("kept answer of the platform")
        verbose_name_plural = _("kept answers of the platform")
        constraints = [models.UniqueConstraint(fields=["name"], name="retries_platformanswer_name_uniq")]
        indexes = [models.Index(fields=["made_at"], name="retries_platformanswer_age_idx")]

    def __str__(self):
        return self.name
