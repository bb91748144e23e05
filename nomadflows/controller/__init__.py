"""The controller: one leader compares what is desired with what is, and takes the next step."""
