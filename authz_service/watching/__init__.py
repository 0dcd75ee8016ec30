"""What is watched beside the tills: the neighbours by each process, every programme and the books by one at a time."""
