"""Patients: who they are, how to reach them, and everything that was ever known about that.

A patient is a person known to one clinic; the same person elsewhere is
another row. Rows are archived, never deleted; every version is kept
(`PatientVersion`) and every opening of a chart is noted in the audit room.
"""
