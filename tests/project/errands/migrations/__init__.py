"""Migrations of the tests."""
