"""Management commands of the tests."""
