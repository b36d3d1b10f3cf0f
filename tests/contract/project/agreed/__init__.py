"""A project that this Hurricane and Django-Hurricane 1.6.2 both serve: it uses what both have."""
