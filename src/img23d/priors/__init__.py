"""What we learnt beforehand: the embedded networks, their training data, training and weights."""
