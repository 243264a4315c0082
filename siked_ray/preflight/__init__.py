"""What can be known before anything runs."""
