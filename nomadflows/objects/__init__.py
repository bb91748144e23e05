"""Objects: bodies too large for a message, and attachments. Kept for a while, then gone."""
