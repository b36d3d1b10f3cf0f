"""The Django project that the tests serve."""
