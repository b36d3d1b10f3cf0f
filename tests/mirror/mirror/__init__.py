"""A project that shows as much of Django as can be seen from outside."""
