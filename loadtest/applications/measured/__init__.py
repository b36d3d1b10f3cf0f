"""The Django project that every server serves."""
