"""What `benchmarks/signaling.py` is made of."""
