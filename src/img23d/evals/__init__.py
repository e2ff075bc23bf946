"""How good is it: metrics and protocols."""
