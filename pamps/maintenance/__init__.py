"""What administrators start, and what runs in the background."""
