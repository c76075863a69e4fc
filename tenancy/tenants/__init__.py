"""Clinics (tenants), and how PostgreSQL keeps them apart.

A tenant is one clinic. Every row of every later room belongs to one
(`TenantModel`), every pointer between such rows carries the tenant
(`TenantForeignKey`), and the one way to work inside a clinic is
`tenant_context`. docs/decisions/0002 says why; change nothing here
without a decision record.
"""
