"""Flow, version, step, state: plain data and decisions. Nothing here does I/O."""
