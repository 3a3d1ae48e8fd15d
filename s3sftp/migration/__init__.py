"""Converts the users of other servers to files of users: what has no equivalent is reported, never dropped.

    an export (JSON) ──► typed input ──► one table a user + findings ──► files of users, and the report

A user never gets more than the other server gave: what restricts a user there and cannot be expressed here
makes the user `disabled`, with the reason, or is not written at all.
"""
