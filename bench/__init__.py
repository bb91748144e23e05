"""Measurements, beside something bare in the same run, or of what faults do to messages. `make bench-NAME` runs one, and
each ends with a line `ratio …`."""
