"""What the server says about itself. Today: its log."""
