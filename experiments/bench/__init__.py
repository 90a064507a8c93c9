"""What the parts of the simulator cost, beside their peers: seconds, not results."""
