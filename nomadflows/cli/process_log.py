"""What a controller and a gateway log, as long as they run."""

from __future__ import annotations

import sys

import structlog


def log_to_stdout(verbose: bool) -> None:
    """Lines for people on a terminal, JSON elsewhere. `verbose`: from level debug on, else from info on."""
    renderer = structlog.dev.ConsoleRenderer() if sys.stdout.isatty() else structlog.processors.JSONRenderer()
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(10 if verbose else 20),
        logger_factory=structlog.PrintLoggerFactory(sys.stdout),
    )
