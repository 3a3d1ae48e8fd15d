"""Mutation testing of the pure modules: `make mutants`. docs/mutants.md says what it shows."""
