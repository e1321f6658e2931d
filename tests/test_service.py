"""What is promised of a service: what its ports share."""
