"""The twistd plugins: one module each, with ``Options`` and ``makeService``; and what they share."""
