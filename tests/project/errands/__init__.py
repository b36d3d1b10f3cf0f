"""What the served project does before it serves: a command and migrations of the tests."""
