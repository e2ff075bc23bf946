"""What we learnt beforehand: the embedded networks, what they answer, and the solids that follow from it."""
