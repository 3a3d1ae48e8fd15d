"""Storages with one vice each, named for it, beside the promises that must find it; a module for a group."""

from tests.testing.vices import (
    copying,
    directories,
    disorder,
    keeping,
    looking,
    meddling,
    publishing,
    reading,
    renaming,
    sequences,
    sessions,
    shapes,
    writing,
)
from tests.testing.vices.vicious import HIDDEN, VICES, Vicious

__all__ = [
    "HIDDEN",
    "VICES",
    "Vicious",
    "copying",
    "directories",
    "disorder",
    "keeping",
    "looking",
    "meddling",
    "publishing",
    "reading",
    "renaming",
    "sequences",
    "sessions",
    "shapes",
    "writing",
]
