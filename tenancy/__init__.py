"""The ground floor: clinics kept apart, the audit trail, and what every door shares."""
