"""A checkpoint that answers: engines behind one protocol, each local one in a limited process."""
