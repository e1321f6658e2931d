"""Several processes that serve the same ports, and one above them that serves nobody: ``--workers``."""
