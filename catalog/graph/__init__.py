"""The walks of a chain, unfolded, and what follows from them."""
