"""Protocol machines and parsers without I/O: bytes in, events out, standard library only."""
