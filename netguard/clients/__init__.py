"""Questions to other machines, each bounded in time and in bytes, whatever answers."""
