"""HTTP in: the API that components call."""
