"""What is sold: products and their SKUs, categories, brands, units, cost, stock, search, import."""
