"""What is, what should be, and the next step between the two. Pure: no server is spoken to here."""
