"""What guards count together with other machines, and what they know of elsewhere.

``tally`` is the contract and what all tallies need; ``peers``, ``arrivals`` and ``penalties`` are the tallies of
ConnectionLimit, ConnectionRate and Penalties. They are carried by :mod:`netguard.fleet`, of which nothing is known here.
"""
