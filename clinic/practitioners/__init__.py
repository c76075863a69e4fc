"""Practitioners and organisations: who treats patients here, and the bodies they belong to.

A practitioner is a row of its own with an optional membership (decision X31):
doctors who only refer to the clinic are known without being able to sign in.
"""
