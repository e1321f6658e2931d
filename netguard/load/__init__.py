"""How loaded this process and its machine are, and what follows: readings, thresholds, a limit that finds itself."""
