"""Guards in front of any TCP server: each client's connection is paired with one to a backend.

``pool`` decides which backend is next; ``attempt`` and ``dial`` reach it; ``side``, ``front`` and ``back`` are the two
ends of a pair; ``stalls`` watches what waits for a peer whom no guard watches; ``preface`` says who the client is.
"""
