"""Whether a delivered result is right, for anyone: what is needed (bundle), read (collecting), checked (checks)."""
