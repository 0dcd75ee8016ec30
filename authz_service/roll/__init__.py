"""Families come and go: each change is one order, one transaction, and one row that says what was done and why."""
