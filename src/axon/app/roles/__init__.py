"""What a process does: one file per role, and the choice between them."""
