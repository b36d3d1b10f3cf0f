"""A project of packages that change Django or stand around it."""
