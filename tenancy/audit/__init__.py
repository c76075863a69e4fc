"""The audit trail: what was done, by whom, and that nobody changed the story afterwards.

Writes form one hash chain per clinic (`AuditEntry`); what was written stands
apart (`AuditPayload`), so that it can be erased and the chain still verifies.
Reads ("who opened this chart") are one cheap row each (`AuditRead`), sealed
into the chain every minute. Tamper-evident, not tamper-proof: docs/operations.md.
"""
