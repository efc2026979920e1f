"""What is in a SavedModel and what it means."""
