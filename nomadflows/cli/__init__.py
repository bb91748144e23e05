"""The `nomadflows` command. Knows every package below it; no package below knows it."""
