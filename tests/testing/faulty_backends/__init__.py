"""Storages with one vice each, named for it, beside the promises that must find it; a module for a group."""

from tests.testing.faulty_backends import (
    commits,
    copying,
    directories,
    kept_ranges,
    lookups,
    ordering,
    outside_changes,
    reading,
    renaming,
    result_types,
    sequences,
    sessions,
    writing,
)
from tests.testing.faulty_backends.faulty_backend import HIDDEN, VICES, FaultyBackend

__all__ = [
    "HIDDEN",
    "VICES",
    "FaultyBackend",
    "commits",
    "copying",
    "directories",
    "kept_ranges",
    "lookups",
    "ordering",
    "outside_changes",
    "reading",
    "renaming",
    "result_types",
    "sequences",
    "sessions",
    "writing",
]
