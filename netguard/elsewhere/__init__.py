"""What guards count together with other machines, and what they know of elsewhere.

``tally`` is the contract, and what all tallies need. ``peers``, ``arrivals`` and ``penalties`` are those of
ConnectionLimit, ConnectionRate and Penalties. Of :mod:`netguard.fleet`, which carries them, nothing is known here.
"""
