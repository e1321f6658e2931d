"""The POP3 service: the session that speaks, the maildrop that reads, and the service around them."""
