"""Helpers that know nothing of attribution: types, errors, checks, devices, the state of the user's model."""
