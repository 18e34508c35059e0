"""The node's durable record: its contract (base), what it keeps (records), and SQLite behind it."""
