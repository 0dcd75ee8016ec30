"""What the bank's and Dinsos's systems are told of: written with the fact, numbered, sent by Standard Webhooks."""
