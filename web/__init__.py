"""Every interface and the composition root."""
