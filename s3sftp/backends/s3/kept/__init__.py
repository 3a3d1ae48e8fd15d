"""Keeps uploads that end without CLOSE, so that their user can continue them: docs/decisions/0056.

records (pure)    what the bucket says of a kept upload, and what its parts are worth
record_store      reads the records
stored_bytes      what the store has of an upload: its parts, and the tail beside its record
kept_uploads      keeps, finds, adopts and discards
kept_sweeper      removes what is too old, and counts what is there
kept_totals       how much is kept, for the metrics
kept_survey       lists them for an operator
"""
