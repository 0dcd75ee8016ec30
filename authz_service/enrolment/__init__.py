"""How a programme enters the books: an edition's files and a roll of families become rows, all of them or none."""
