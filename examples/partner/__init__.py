"""A partner that keeps prices, checks them, and sells with a signed quote, over plain HTTP."""
