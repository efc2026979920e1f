"""What is decided about calls, and who follows them: put around every method, whatever carried it."""
