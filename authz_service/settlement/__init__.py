"""How shops get their money: cut-off by cut-off a batch, and in it one instruction to the bank for each shop."""
