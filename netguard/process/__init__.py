"""What a service needs from and of its process, whatever it serves."""
