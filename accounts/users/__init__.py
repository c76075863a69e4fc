"""People: who they are, where they work, what they may do there, and how they sign in.

A `User` is a person and belongs to no clinic; a `Membership` is that person
inside one clinic and is what every service calls `by`.
"""
