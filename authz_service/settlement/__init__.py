"""How shops get their money: batches, what the bank says of their payouts, and the books that follow it."""
