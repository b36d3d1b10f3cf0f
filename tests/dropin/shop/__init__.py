"""A project that was written for Django-Hurricane, with the tests that such projects have."""
