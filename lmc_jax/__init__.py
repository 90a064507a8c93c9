"""Linear mode connectivity modulo permutation, simulated in JAX."""
