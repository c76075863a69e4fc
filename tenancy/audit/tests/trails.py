"""What a test asks the audit trail."""

from tenancy.audit import selectors
from tenancy.tenants.context import finish_pending


def entries_about(obj) -> list[dict]:
    """The trail of one object, oldest first, as the audit room describes it."""
    finish_pending()
    found = selectors.list_entries(resource_type=obj._meta.model_name, resource_id=str(obj.pk))
    return selectors.describe_entries(found)[::-1]


def actions_about(obj) -> list[str]:
    return [entry["action"] for entry in entries_about(obj)]
