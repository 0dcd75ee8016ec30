"""The books: every transfer is one row that debits one account and credits another, so it cannot be unbalanced."""
