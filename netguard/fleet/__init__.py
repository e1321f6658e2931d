"""Several machines that count together, through a ledger that all of them can reach.

``exchange`` is one machine's side: what happens here goes out, what happens elsewhere comes in, in batches, and nobody
waits for it. ``ledger`` is the contract of an engine, ``redis`` the one there is; ``entries`` is what machines write,
``others`` what is known of the others, ``joining`` the one call for authors.
"""
