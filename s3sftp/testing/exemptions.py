"""Exemptions that many storages share, to be declared by name: `exempt = {**NO_TIMES, …}`."""

from __future__ import annotations

from collections.abc import Mapping

NO_TIMES: Mapping[str, str] = dict.fromkeys(
    (
        "test_a_renamed_file_keeps_the_time_it_was_given",
        "test_the_time_given_at_the_end_is_kept",
        "test_the_time_given_at_the_end_is_the_last_word",
    ),
    "the storage keeps no time that a client gives",
)
"""For storages where a file's time is always the time at which it was stored."""
