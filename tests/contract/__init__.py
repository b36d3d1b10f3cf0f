"""The contract with Django-Hurricane 1.6.2, one test per row."""
