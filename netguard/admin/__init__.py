"""What a service shows of itself over HTTP, to programs that watch it and to people."""
