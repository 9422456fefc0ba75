"""Networks, remedies, and the one loop that trains them all."""
