"""The agents that vagus brings."""
