"""Commands that ``manage.py`` finds."""
