"""Accounts: who may log in, and with which secret.

`interface` is what a session depends on; `names` and `credentials` say what may be stored; `safefile` refuses
a file that others could read or change; `database` opens it and `store` keeps the rows; `passwords` hashes;
`bounded` keeps the hashing from taking the machine; `checks` puts them together.
"""
