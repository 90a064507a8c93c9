"""What the statements of a figure are, and how they are judged."""
