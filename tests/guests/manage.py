"""Django's command line for the project that has guests: packages of others."""

import os
import sys

from django.core.management import execute_from_command_line

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "guests.settings")
    execute_from_command_line(sys.argv)
