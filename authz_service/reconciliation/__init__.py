"""Whether authorisations, ledger and the bank's statement say the same, and what is done where they do not."""
