"""Our own TCP transport: the second meter, for ports of our own on reactors that watch file descriptors."""
