"""What companions and operators look through, page by page; a filter finds what a plain scan would find."""
