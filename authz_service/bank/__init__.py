"""What the banks tell: who may speak, their notices, and what becomes of each."""
