"""Helpers that do not depend on attribution: types, errors, checks, devices, the state of models."""
