"""`python -m nomadflows` is `nomadflows`."""

from __future__ import annotations

from nomadflows.cli.main import main

if __name__ == "__main__":
    main()
